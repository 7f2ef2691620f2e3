// As `nest new` writes it: CommonJS and ts-jest.
module.exports = {
  testRegex: '.*\\.spec\\.ts$',
  transform: { '^.+\\.(t|j)s$': 'ts-jest' },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' }, // imports that end in .js
};
