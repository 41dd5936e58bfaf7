import { defineConfig } from 'vitest/config';
import { ownLayers } from './own-layers.ts';

/** Not asked: what starts a browser or explores a model for seconds, for each mutant anew. */
const SLOW = ['protocol-model', 'prove-check', 'run-report', 'run-report-in-browser'];

/** The tests that a mutant of the domain layer must survive: those that need no server. */
export default defineConfig({
  resolve: { alias: ownLayers },
  test: {
    include: ['test/unit/**/*.test.ts'],
    exclude: SLOW.map((name) => `test/unit/${name}.test.ts`),
    isolate: false,
    testTimeout: 30_000,
  },
});
