import { defineConfig } from 'vitest/config';
import { ownLayers } from './own-layers.ts';

const FILES = ['flip', 'stages', 'drain', 'owners', 'parity', 'review-races'];

/** The tests that a mutant of flip, drain or parity must survive, on a real Postgres. */
export default defineConfig({
  resolve: { alias: ownLayers },
  test: {
    include: [
      'test/unit/flip-blockers.test.ts',
      ...FILES.map((name) => `test/integration/${name}.test.ts`),
    ],
    globalSetup: ['test/support/postgres-setup.ts'],
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
