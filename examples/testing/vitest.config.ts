import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: { include: ['vitest/**/*.test.ts'] },
  oxc: { decorator: { legacy: true } }, // as experimentalDecorators in tsconfig.json
});
