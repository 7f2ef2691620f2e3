// For CommonJS projects: the packages become CommonJS too. Needs no flag of Node.
module.exports = {
  testRegex: '.*\\.spec\\.ts$',
  transform: {
    '^.+\\.(t|j)s$': [
      '@swc/jest',
      {
        module: { type: 'commonjs' },
        jsc: {
          target: 'es2023',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
        },
      },
    ],
  },
  transformIgnorePatterns: ['/node_modules/(?!(?:@nestjs|@txbox|\\.pnpm)/)'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' }, // imports that end in .js
};
