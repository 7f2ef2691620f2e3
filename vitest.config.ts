import { defineConfig } from 'vitest/config';

// Tests run on sources: the packages' `@txbox/source` condition wins over `dist`.
const conditions = ['@txbox/source', 'node'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  oxc: {
    // Explicit, because the transform cache is not keyed on tsconfig.json.
    decorator: { legacy: true, emitDecoratorMetadata: true },
    assumptions: { setPublicClassFields: true },
    typescript: { removeClassFieldsWithoutInitializer: true },
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'tools/test/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks',
    // Most tests wait for servers; more workers than cores wait side by side.
    maxWorkers: 3,
    // What is logged on the way is shown for tests that fail.
    silent: 'passed-only',
    passWithNoTests: true,
    reporters: ['default', './tools/totals-reporter.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
