// For CommonJS projects: every file becomes CommonJS, the packages of txbox too. Needs no flag of Node.
export default {
  testMatch: ['<rootDir>/jest/**/*.test.ts'],
  transform: {
    '^.+\\.[jt]s$': [
      '@swc/jest',
      {
        module: { type: 'commonjs' },
        jsc: { target: 'es2023', parser: { syntax: 'typescript', decorators: true }, transform: { legacyDecorator: true } },
      },
    ],
  },
  transformIgnorePatterns: ['/node_modules/(?!(?:@txbox|\\.pnpm)/)'],
};
