import { defineConfig } from 'vitest/config';

const project = (name: string, timeoutSeconds: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutSeconds * 1000,
    hookTimeout: timeoutSeconds * 1000,
  },
});

/** Global setup at the root would run for every project: the unit tests must not start a server. */
const withPostgres = ({ test }: ReturnType<typeof project>) => ({
  test: { ...test, globalSetup: ['test/support/postgres-setup.ts'] },
});

export default defineConfig({
  test: {
    // For two cores: one of three workers waits for a timeout or a server at any time.
    maxWorkers: 3,
    projects: [
      project('unit', 30),
      withPostgres(project('integration', 120)),
      project('infra', 60),
      withPostgres(project('e2e', 300)),
    ],
  },
});
