import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, it } from 'vitest';
import { FunctionsProcess } from '../prove/functions-process.ts';
import { runSeed } from '../prove/run-seed.ts';

/** `npm run prove` runs as many as one likes, and crashes the server and fills its disk, which here others use. */
const SEEDS = [4];

it('loses nothing, tells everything once and leaves nothing behind, whatever happens to it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'kits-prove-'));
  const [phases, service] = await Promise.all([FunctionsProcess.open(), FunctionsProcess.open()]);
  const server = {
    url: inject('postgresUrl'),
    crash: undefined,
    fillDisk: undefined,
    close: async () => {},
  };
  try {
    for (const seed of SEEDS) {
      const { violations, acknowledged, faults } = await runSeed({
        seed,
        server,
        processes: { phases, service },
        directory,
        length: 'brief',
      });
      expect(violations, `seed ${seed}, its history is in ${directory}`).toEqual([]);
      expect(acknowledged).toBeGreaterThan(100);
      expect(faults.length).toBeGreaterThan(0);
    }
    await rm(directory, { recursive: true, force: true });
  } finally {
    await Promise.all([phases.close(), service.close()]);
  }
});
