import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../infra/local/writers/random.ts';
import { freshHome, type Started, startAt, TAKEN_BACK } from '../support/start.ts';

const ARGS = ['--rows', '4000', '--monitor', '1', '--rollback', '--json'];

/** A function's step, as its log line names it: the kill comes at a random moment after its end. */
const MOMENTS = [
  ['phase0-analysis', 'analyse'],
  ['phase1-schema', 'install'],
  ['phase6-validation', 'rehearse'],
  ['phase2-migration', 'begin'],
  ['phase2-migration', 'copy'],
  ['phase2-migration', 'drain'],
  ['phase6-validation', 'begin-parity'],
  ['phase4-contract-check', 'check'],
  ['phase3-services', 'switch'],
  ['phase7-cleanup', 'monitor'],
  ['phase7-cleanup', 'close'],
  ['rollback', 'begin'],
  ['rollback', 'reverse'],
  ['rollback', 'delete'],
] as const;

const logOf = (home: string) => {
  const path = join(home, 'run', 'functions.log');
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
};

const SEED = Number(process.env.KILL_SEED ?? 1);
/** Every third one, by the seed: each start takes seconds, and `npm run prove` kills everywhere. */
const DRAWN = MOMENTS.filter((_, index) => index % 3 === SEED % 3);

/** Waits until a step has ended since a place in the log, or the process has. */
const stepOrEnd = async (
  home: string,
  from: number,
  [phase, action]: (typeof MOMENTS)[number],
  started: Started,
): Promise<void> => {
  let over = false;
  started.ended.then(() => {
    over = true;
  });
  while (!over) {
    const lines = logOf(home).slice(from).split('\n');
    if (lines.some((line) => line.includes(`"function":"${phase}","action":"${action}"`))) return;
    await sleep(5);
  }
};

describe('kill -9', () => {
  it('at a random moment in phase after phase loses nothing, and the same command finishes', async () => {
    const home = freshHome();
    const random = seededRandom(SEED);
    let killed = 0;
    try {
      // While it boots, makes its cluster and seeds.
      for (const most of [1_500, 3_000]) {
        const early = startAt(home, ARGS);
        await sleep(random() * most);
        early.signal('SIGKILL');
        await early.ended;
      }
      for (const moment of DRAWN) {
        const started = startAt(home, ARGS);
        await stepOrEnd(home, logOf(home).length, moment, started);
        await sleep(random() * 250);
        started.signal('SIGKILL');
        const { code, errors } = await started.ended;
        expect(errors, `killed after ${moment.join(' ')}`).toBe('');
        // A step that an earlier process had done already does not come again: then the run ends.
        if (code === 0) break;
        killed += 1;
      }
      const { code, json, output, errors } = await startAt(home, ARGS).ended;
      expect(errors).toBe('');
      expect(output).toContain('resuming');
      expect(json, output).toMatchObject(TAKEN_BACK);
      expect(json.rows?.kit).toBeGreaterThan(3_900);
      expect(json.parity?.compared).toBeGreaterThan(7_800);
      expect(code).toBe(0);
      expect(killed).toBe(DRAWN.length);
    } finally {
      await rm(home, { recursive: true, force: true });
    }
  }, 900_000);
});
