import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WINDOWS } from '../../infra/local/cli/request-windows.ts';
import { PLANTED_BLOCKERS } from '../../infra/local/legacy/blockers.ts';
import { type ClinicDatabase, clinicContent, clinicDatabase } from '../support/clinic.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { freshHome, startAt, TAKEN_BACK } from '../support/start.ts';

/** What every colour begins with. */
const ESCAPE = String.fromCharCode(27);
const CLINIC_MAPPING = fileURLToPath(new URL('../fixtures/clinic.mapping.ts', import.meta.url));
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
    expect(json.writes?.repeated).toBeGreaterThan(0);
    expect(json.reads?.checked).toBeGreaterThan(100);
    expect(json.reads?.stale).toBe(0);
    const { requests } = json;
    expect(requests?.all.errors).toBe(0);
    expect(requests?.all.count).toBeGreaterThan(300);
    expect(WINDOWS.reduce((sum, window) => sum + (requests?.[window].count ?? 0), 0)).toBe(
      requests?.all.count,
    );
    for (const window of ['before', 'analysis', 'copy', 'after'] as const)
      expect(requests?.[window].count, window).toBeGreaterThan(0);
    expect(requests?.rollback.count).toBe(0);
    expect(requests?.before.p50).toBeGreaterThan(0);
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
    const report = await readFile(json.reportFile ?? '', 'utf8');
    expect(report).toContain('Complete');
    expect(report).toContain('How long requests took');
    expect(report).toContain(json.batchId);
    expect(code).toBe(0);
  });

  it('begins anew after a finished run, and rolls all of it back', async () => {
    const { code, output, json } = await start(...SMALL, '--rollback').ended;
    expect(output).not.toContain('resuming');
    expect(json).toMatchObject(TAKEN_BACK);
    expect(json.requests?.rollback?.count).toBeGreaterThan(0);
    expect(json.rollback?.rowsDeleted).toBeGreaterThan(3_900);
    const report = await readFile(json.reportFile ?? '', 'utf8');
    expect(report).toContain('as they were, plus every acknowledged write');
    expect(code).toBe(0);
  });

  it('shows a NO-GO with every kind of blocker that was planted', async () => {
    const { code, output, json } = await start(...SMALL, '--blockers').ended;
    expect(json).toMatchObject({ verdict: 'NO-GO', missing: [] });
    const codes = new Set(json.blockers?.map((one) => one.code));
    expect([...codes].sort()).toEqual([...PLANTED_BLOCKERS].sort());
    for (const planted of PLANTED_BLOCKERS) expect(output).toContain(planted);
    expect(output).not.toContain('BLOCKER-TWICE');
    const report = await readFile(json.reportFile ?? '', 'utf8');
    for (const planted of PLANTED_BLOCKERS) expect(report).toContain(planted);
    expect(report).not.toContain('BLOCKER-TWICE');
    expect(code).toBe(0);
  });

  it('refuses a second process on the same run, and goes on after Ctrl-C', async () => {
    // It monitors until it is interrupted, however long the second one takes to be refused.
    const first = start(...SMALL, '--rows', '3000', '--monitor', '300');
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
      reads: { stale: 0 },
      requests: { all: { errors: 0 } },
    });
    expect(resumed.json.rows?.kit).toBeGreaterThan(2_900);
    expect(resumed.code).toBe(0);
  });

  it.each([
    [['--rows', 'many'], 'whole number'],
    [['--seed'], 'set DATABASE_URL'],
    [['--blockers', '--rollback'], 'nothing to roll back'],
    [['--nonsense'], 'unknown option'],
    [['srve'], 'too many arguments'],
    [['serve', '--port', '70000'], 'whole number'],
    [['serve', '--rollback'], 'unknown option'],
    [['--rollback', 'serve'], 'stands before "serve"'],
  ])('says what is wrong with %j', async (args, message) => {
    const { code, errors } = await start(...args).ended;
    expect(errors).toContain(message);
    expect(code).not.toBe(0);
  });
});

describe('npm start -- --seed', () => {
  const home = freshHome();
  let database: TestDatabase;
  beforeAll(async () => {
    database = await freshDatabase();
  });
  afterAll(async () => {
    await database.drop();
    await rm(home, { recursive: true, force: true });
  });

  it('generates the data in the given database, once', async () => {
    const start = () =>
      startAt(home, [...SMALL, '--rows', '500', '--seed'], { DATABASE_URL: database.url }).ended;
    const first = await start();
    expect(first.json, first.output).toMatchObject({
      stage: 'closed',
      parity: { mismatched: 0 },
      writes: { lost: 0, unexpected: 0 },
    });
    expect(first.json.writes?.acknowledged).toBeGreaterThan(50);
    expect(first.code).toBe(0);
    const second = await start();
    expect(second.json.error?.message).toContain('the database has tables of that name already');
    expect(second.code).toBe(1);
  });
});

describe('npm start on a given database', () => {
  const home = freshHome();
  let clinic: ClinicDatabase;
  beforeAll(async () => {
    clinic = await clinicDatabase();
  });
  afterAll(async () => {
    await clinic.drop();
    await rm(home, { recursive: true, force: true });
  });
  const start = (...args: string[]) =>
    startAt(home, ['--monitor', '1', '--json', ...args], {
      DATABASE_URL: clinic.url,
      KITS_MAPPING: CLINIC_MAPPING,
    });

  it('seeds nothing, writes nothing, and stops where a foreign key still needs the legacy tables', async () => {
    const before = await clinicContent(clinic);
    const { code, output, json } = await start().ended;
    expect(output).toContain('REFERENCED_BY');
    expect(output).toContain('going to "dual-write" only');
    expect(json).toMatchObject({
      rows: { kit: 4_200, practitioner_kits: 2_600 },
      parity: { compared: 6_800, mismatched: 0 },
      writes: { acknowledged: 0, lost: 0 },
      stage: 'dual-write',
    });
    expect(code).toBe(0);
    expect(await clinicContent(clinic)).toEqual(before);
  });

  it('goes on when no key points there any more', async () => {
    await clinic.pool.query(
      `alter table app.kit_result drop constraint "kit_result_kitId_fkey", drop constraint "kit_result_practitionerKitId_fkey"`,
    );
    const { code, output, json } = await start().ended;
    expect(output).toContain('going on with batch');
    expect(json).toMatchObject({ stage: 'closed', parity: { mismatched: 0 } });
    expect(code).toBe(0);
  });

  it('rolls a closed batch back by the same command', async () => {
    const before = await clinicContent(clinic);
    await clinic.pool.query(
      `alter table app.kit_result
         add constraint "kit_result_kitId_fkey" foreign key ("kitId") references app.kit (id),
         add constraint "kit_result_practitionerKitId_fkey" foreign key ("practitionerKitId") references app.practitioner_kits (id)`,
    );
    const { code, json } = await start('--rollback').ended;
    expect(json).toMatchObject({ stage: 'legacy', rollback: { legacyIntact: null } });
    expect(json.rollback?.rowsDeleted).toBe(6_800);
    expect(code).toBe(0);
    expect(await clinicContent(clinic)).toEqual(before);
  });

  // The second time finds what the writers of the first have left in the run's folder.
  it.each(['lets writers at another mapping too', 'lets them at it a second time'])(
    '%s, and takes it all back',
    async () => {
      const { code, output, json } = await start('--writers', '2', '--rollback').ended;
      expect(json, output).toMatchObject(TAKEN_BACK);
      expect(json.writes?.acknowledged).toBeGreaterThan(50);
      expect(output).not.toContain('can be written through the API');
      expect(code).toBe(0);
    },
  );
});
