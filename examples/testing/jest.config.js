// For ESM projects. Needs node --experimental-vm-modules.
export default {
  testMatch: ['<rootDir>/jest/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2023', parser: { syntax: 'typescript', decorators: true }, transform: { legacyDecorator: true } } },
    ],
  },
};
