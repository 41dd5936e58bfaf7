import { rm } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { PLANTED_BLOCKERS } from '../../infra/local/legacy/blockers.ts';
import { freshHome, startAt } from '../support/start.ts';

/** What every colour begins with. */
const ESCAPE = String.fromCharCode(27);
const SMALL = ['--rows', '2000', '--monitor', '1', '--json'];

describe('npm start', () => {
  const home = freshHome();
  afterAll(() => rm(home, { recursive: true, force: true }));
  const start = (...args: string[]) => startAt(home, args);

  it('takes a legacy database to closed with exact parity and no lost write', async () => {
    const { code, output, json } = await start(...SMALL).ended;
    expect(output).not.toContain(ESCAPE);
    expect(json).toMatchObject({
      rows: { kit: expect.any(Number), practitioner_kits: expect.any(Number) },
      parity: { mismatched: 0 },
      writes: { lost: 0, unexpected: 0 },
      stage: 'closed',
      batchId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(json.rows?.kit).toBeGreaterThan(1_900);
    expect(json.parity?.compared).toBeGreaterThan(3_900);
    expect(json.rowsPerSecond).toBeGreaterThan(0);
    expect(json.writes?.acknowledged).toBeGreaterThan(100);
    expect(json.writes?.found).toBe(json.writes?.acknowledged);
    expect(json.writersHeldMs?.max).toBeGreaterThanOrEqual(json.writersHeldMs?.p50 ?? 0);
    expect(json.phases?.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'boot',
        'seed',
        'phase0-analysis',
        'phase1-schema',
        'phase2-migration',
        'phase3-services',
        'phase6-validation',
        'phase7-cleanup',
      ]),
    );
    expect(code).toBe(0);
  });

  it('begins anew after a finished run, and rolls all of it back', async () => {
    const { code, output, json } = await start(...SMALL, '--rollback').ended;
    expect(output).not.toContain('resuming');
    expect(json).toMatchObject({
      stage: 'legacy',
      parity: { mismatched: 0 },
      writes: { lost: 0, unexpected: 0 },
      rollback: { legacyIntact: true },
    });
    expect(json.rollback?.rowsDeleted).toBeGreaterThan(3_900);
    expect(code).toBe(0);
  });

  it('shows a NO-GO with every kind of blocker that was planted', async () => {
    const { code, output, json } = await start(...SMALL, '--blockers').ended;
    expect(json).toMatchObject({ verdict: 'NO-GO', missing: [] });
    const codes = new Set(json.blockers?.map((one) => one.code));
    expect([...codes].sort()).toEqual([...PLANTED_BLOCKERS].sort());
    for (const planted of PLANTED_BLOCKERS) expect(output).toContain(planted);
    expect(output).not.toContain('BLOCKER-TWICE');
    expect(code).toBe(0);
  });

  it('refuses a second process on the same run, and goes on after Ctrl-C', async () => {
    const first = start(...SMALL, '--rows', '3000');
    await first.shows('dual-write');
    const second = await start(...SMALL).ended;
    expect(second.code).toBe(1);
    expect(second.json.error).toMatchObject({ name: 'DataDirectoryInUseError' });
    first.signal('SIGINT');
    const stopped = await first.ended;
    expect(stopped.output).toContain('the same command goes on from here');
    expect(stopped.code).toBe(130);
    const resumed = await start(...SMALL).ended;
    expect(resumed.output).toContain('resuming');
    expect(resumed.json).toMatchObject({
      stage: 'closed',
      parity: { mismatched: 0 },
      writes: { lost: 0, unexpected: 0 },
    });
    expect(resumed.json.rows?.kit).toBeGreaterThan(2_900);
    expect(resumed.code).toBe(0);
  });

  it.each([
    [['--rows', 'many'], 'whole number'],
    [['--seed'], 'set DATABASE_URL'],
    [['--blockers', '--rollback'], 'nothing to roll back'],
    [['--nonsense'], 'unknown option'],
  ])('says what is wrong with %j', async (args, message) => {
    const { code, errors } = await start(...args).ended;
    expect(errors).toContain(message);
    expect(code).not.toBe(0);
  });
});
