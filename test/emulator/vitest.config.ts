import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/** No project of the default run: it needs an emulator of AWS, which AWS_ENDPOINT_URL names. */
export default defineConfig({
  root: join(import.meta.dirname, '..', '..'),
  test: {
    name: 'emulator',
    include: ['test/emulator/**/*.test.ts'],
    testTimeout: 10 * 60_000,
    hookTimeout: 30 * 60_000,
  },
});
