import { defineConfig } from 'vitest/config';

const project = (name: string, timeoutSeconds: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutSeconds * 1000,
    hookTimeout: timeoutSeconds * 1000,
  },
});

export default defineConfig({
  test: {
    // Two cores: more workers only make databases wait for one another.
    maxWorkers: 2,
    globalSetup: ['test/support/postgres-setup.ts'],
    projects: [
      project('unit', 30),
      { ...project('integration', 120), extends: true },
      project('infra', 60),
      { ...project('e2e', 300), extends: true },
    ],
  },
});
