import { checkSessions, type HealthFinding, type MigrationStanding } from '@unified-kits/data';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approvedReport, cutOver, type Rig, rigOf, rollBack } from '../support/system.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await rigOf(200);
});
afterAll(() => rig?.close());

const ask = (event: Record<string, unknown>) =>
  rig.system.invoke('operations', event) as Promise<Record<string, unknown>>;
const standing = async () => (await ask({ action: 'status' })).standing as MigrationStanding | null;
const findings = async () => (await ask({ action: 'doctor' })).findings as HealthFinding[];
/** Without what the tests' own server is like, which risks its data to be quick. */
const faults = async () =>
  (await findings()).filter(({ level, check }) => level === 'fault' && check !== 'server');
const sql = (text: string) => rig.legacy.pool.query(text);

describe('before anything was done', () => {
  it('there is nothing to tell, and that is no error', async () => {
    expect(await standing()).toBeNull();
    expect(await ask({ action: 'batches' })).toEqual({ batches: [] });
    expect(await ask({ action: 'events' })).toEqual({ events: [] });
    await expect(ask({ action: 'report' })).rejects.toThrow(/there is no report yet/);
    expect(await faults()).toEqual([]);
  });

  it('the doctor finds a server that would lose what it has acknowledged', async () => {
    const [{ fsync } = {}] = (await sql('show fsync')).rows;
    expect(await findings()).toContainEqual(
      expect.objectContaining(
        fsync === 'off'
          ? { check: 'server', level: 'fault', message: expect.stringMatching(/^fsync is off/) }
          : { check: 'server', level: 'ok' },
      ),
    );
  });

  it('the doctor says what the tables need', async () => {
    await sql('create rule kit_rule as on delete to kit do also nothing');
    try {
      expect(await faults()).toMatchObject(
        [{ check: 'legacy tables', message: /rewrite rules.*kit_rule/ }].map((one) => ({
          ...one,
          message: expect.stringMatching(one.message),
        })),
      );
    } finally {
      await sql('drop rule kit_rule on kit');
    }
  });

  it('the doctor tells a mapping that does not fit, column by column, and goes on', async () => {
    await sql('alter table kit rename column kit_number to number');
    try {
      const all = await findings();
      const fault = all.find(({ check }) => check === 'mapping');
      expect(fault).toMatchObject({ level: 'fault' });
      expect(fault?.message).toMatch(/^MappingMismatch: .*kit_number/s);
      expect(all.map(({ check }) => check)).toEqual(
        expect.arrayContaining(['server', 'roles', 'flags']),
      );
    } finally {
      await sql('alter table kit rename column number to kit_number');
    }
  });
});

describe('of a migration', () => {
  it('the standing follows it from the report to the dual-write window', async () => {
    const reportId = await approvedReport(rig);
    expect(await standing()).toMatchObject({
      stage: 'legacy',
      schema: false,
      batch: null,
      report: { id: reportId, verdict: 'GO', approvedBy: 'operator' },
      approved: { id: reportId },
    });
    const { status } = await cutOver(rig, { reportId, until: 'dual-write' });
    expect(status).toBe('SUCCEEDED');
    const now = await standing();
    expect(now).toMatchObject({
      stage: 'dual-write',
      schema: true,
      batch: { kind: 'full', actor: 'operator', endedAt: null, rowsCopied: 400 },
      copy: [
        { source: 'kit', copied: 200, expected: 200, rangesOpen: 0 },
        { source: 'practitioner_kits', copied: 200, expected: 200, rangesOpen: 0 },
      ],
      backlog: { noted: 0, failed: 0, causes: [] },
      checks: 0,
      workersPaused: false,
    });
    expect(now?.events).toHaveLength(8);
    const { batches } = (await ask({ action: 'batches' })) as { batches: { id: string }[] };
    expect(batches).toMatchObject([
      { id: now?.batch?.id, outcome: null },
      { kind: 'canary', outcome: 'rolled-back' },
    ]);
  });

  it('events come page by page, of one batch, the newest first', async () => {
    const batchId = (await standing())?.batch?.id;
    const page = async (more: object) =>
      (await ask({ action: 'events', batchId, limit: 3, ...more })).events as {
        id: number;
        batchId: string;
      }[];
    const first = await page({});
    const second = await page({ before: first.at(-1)?.id });
    const ids = [...first, ...second].map(({ id }) => id);
    expect(ids).toEqual(ids.toSorted((a, b) => b - a));
    expect(new Set(ids).size).toBe(6);
    expect(new Set([...first, ...second].map((event) => event.batchId))).toEqual(
      new Set([batchId]),
    );
  });

  it('the doctor finds nothing to mend', async () => {
    expect(await faults()).toEqual([]);
  });

  it('the doctor finds a trigger that is off, and one that is left over', async () => {
    const kits = 'alter table kits disable trigger uk_mirror_insert';
    await sql(`${kits}; alter table kit enable always trigger uk_capture_insert`);
    try {
      expect(await faults()).toMatchObject([
        {
          check: 'triggers',
          message: expect.stringMatching(/"dual-write" has no use for.*kit": uk_capture_insert/),
        },
        {
          check: 'triggers',
          message: expect.stringMatching(/"dual-write" needs.*kits": uk_mirror_insert/),
        },
      ]);
    } finally {
      await sql(
        'alter table kits enable always trigger uk_mirror_insert; alter table kit disable trigger uk_capture_insert',
      );
    }
  });

  it('the doctor finds keys that cannot be brought into step, and a guard that is on for nobody', async () => {
    await sql(
      `insert into migration.pending_sync (source, legacy_id, cause, error) values ('kit', '7', 'mirror', '23505 kits_kit_number_key')`,
    );
    try {
      expect(await faults()).toMatchObject([
        {
          check: 'backlog',
          message: expect.stringMatching(/^1 keys could not be brought into step/),
        },
      ]);
    } finally {
      await sql('delete from migration.pending_sync');
    }
    expect((await rollBack(rig)).status).toBe('SUCCEEDED');
    await rig.system.flags.write({ migrationInProgress: true });
    const warned = (await findings()).filter(({ level }) => level === 'warning');
    expect(warned).toContainEqual(
      expect.objectContaining({
        check: 'flags',
        fix: expect.stringContaining('MIGRATION_IN_PROGRESS=false'),
      }),
    );
    expect(await faults()).toEqual([]);
  });

  it('the doctor finds a transaction that nobody ends', async () => {
    const client = await rig.legacy.pool.connect();
    try {
      await client.query('begin; select count(*) from kit');
      const found = await rig.legacy.db.transaction({ readOnly: true }, (session) =>
        checkSessions(session, 0),
      );
      expect(found).toContainEqual(
        expect.objectContaining({
          level: 'warning',
          message: expect.stringMatching(/idle in transaction/),
        }),
      );
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  it('the doctor finds a replication slot that nobody reads', async () => {
    await sql(`select pg_create_physical_replication_slot('left_behind', true)`);
    try {
      expect(await findings()).toContainEqual(
        expect.objectContaining({
          check: 'replication',
          level: 'warning',
          message: expect.stringMatching(/"left_behind" has no reader/),
        }),
      );
    } finally {
      await sql(`select pg_drop_replication_slot('left_behind')`);
    }
  });
});
