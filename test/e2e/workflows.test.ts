import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { afterEach, describe, expect, it } from 'vitest';
import { legacyDatabase } from '../support/legacy.ts';
import {
  approvedReport,
  cutOver,
  eventually,
  legacyContent,
  type Rig,
  rigOf,
  rollBack,
  stageOf,
  systemOn,
} from '../support/system.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const rig = async (rows?: number): Promise<Rig> => {
  const made = await rigOf(rows);
  closing.push(() => made.close());
  return made;
};

/** As an operator does it in the console. */
const put = (given: Rig, flag: string, value: string) =>
  given.system.ssm.send(
    new PutParameterCommand({
      Name: `/unified-kits/test/${flag}`,
      Value: value,
      Overwrite: true,
    }),
  );

const events = async ({ legacy }: Rig, action: string): Promise<Record<string, unknown>[]> =>
  (
    await legacy.pool.query('select detail from migration.event where action = $1 order by id', [
      action,
    ])
  ).rows.map(({ detail }) => detail);

const batches = async ({ legacy }: Rig): Promise<Record<string, unknown>[]> =>
  (
    await legacy.pool.query(
      `select id, outcome from migration.batch where kind = 'full' order by started_at`,
    )
  ).rows;

/** A cutover whose copy is paused, at a moment when nothing has been copied. */
const pausedCutover = async (given: Rig, input: Record<string, unknown> = {}) => {
  const reportId = await approvedReport(given);
  await given.system.flags.ensure();
  await put(given, 'copy-rows-per-second', '0');
  const execution = await given.system.startCutover({
    actor: 'operator',
    monitor: { seconds: 1, checks: 1 },
    reportId,
    ...input,
  });
  await eventually(
    async () => (await given.legacy.pool.query('select from migration.chunk')).rowCount ?? 0,
    (ranges) => ranges > 0,
  ).catch(async (error: unknown) => {
    throw new Error(JSON.stringify(await given.system.waitForExecution(execution)), {
      cause: error,
    });
  });
  return { execution, reportId };
};

describe('the cutover workflow', () => {
  it('takes a database from its analysis to closed and sums up', async () => {
    const given = await rig();
    const ended = await cutOver(given, { reportId: await approvedReport(given) });
    expect(ended).toMatchObject({
      status: 'SUCCEEDED',
      output: {
        stage: 'closed',
        outcome: 'closed',
        rows: { kit: 300, practitioner_kits: 300 },
        parity: { compared: 600, mismatched: 0 },
        flips: [
          { from: 'legacy', to: 'copying' },
          { from: 'copying', to: 'mirrored' },
          { from: 'mirrored', to: 'dual-write' },
          { from: 'dual-write', to: 'unified' },
          { from: 'unified', to: 'closed' },
        ],
      },
    });
    const { phases } = ended.output as { phases: { name: string; seconds: number }[] };
    expect(phases.map(({ name }) => name).sort()).toEqual([
      'phase0-analysis',
      'phase1-schema',
      'phase2-migration',
      'phase3-services',
      'phase4-contract-check',
      'phase5-queues',
      'phase6-validation',
      'phase7-cleanup',
    ]);
    expect(phases.every(({ seconds }) => seconds > 0 && seconds < 30)).toBe(true);
    expect(await given.system.flags.read()).toMatchObject({
      unifiedReads: true,
      unifiedWrites: true,
      dualWrite: false,
      migrationInProgress: false,
    });
  });

  it('passes by the dual-write window when it is told to', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    const ended = await cutOver(given, { reportId, dualWrite: false });
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { stage: 'closed' } });
    expect((await events(given, 'flip')).map(({ to }) => to)).toEqual([
      'copying',
      'mirrored',
      'unified',
      'closed',
    ]);
  });

  it('says what is wrong with its input and begins nothing', async () => {
    const given = await rig(10);
    const ended = await cutOver(given, { mode: 'cutover', lanes: 0, colour: 'blue' });
    expect(ended).toMatchObject({ status: 'FAILED', error: 'InvalidInput' });
    expect(ended.cause).toMatch(/lanes/);
    expect(ended.cause).toMatch(/colour/);
  });

  it('ends in NoGo when the analysis finds a blocker, and leaves the database alone', async () => {
    const given = await rig(20);
    await given.legacy.pool.query(
      `insert into kit (kit_number, user_id, status) select kit_number, user_id, status from kit where id = 3`,
    );
    const analysed = await given.system.waitForExecution(
      await given.system.startCutover({ mode: 'analyse', actor: 'operator' }),
    );
    expect(analysed).toMatchObject({ status: 'SUCCEEDED', output: { verdict: 'NO-GO' } });
    const { analysisId } = analysed.output as { analysisId: string };
    const ended = await cutOver(given, { reportId: analysisId });
    expect(ended).toMatchObject({ status: 'FAILED', error: 'NoGo' });
    expect(ended.cause).toMatch(/DUPLICATE_IN_KIT in kit.*: 1|DUPLICATE_IN_KIT in kit.*3/);
    expect((await given.legacy.pool.query(`select to_regclass('kits') as kits`)).rows).toEqual([
      { kits: null },
    ]);
  });

  it('refuses a report that nobody approved', async () => {
    const given = await rig(20);
    const analysed = await given.system.waitForExecution(
      await given.system.startCutover({ mode: 'analyse', actor: 'operator' }),
    );
    const { analysisId } = analysed.output as { analysisId: string };
    expect(await cutOver(given, { reportId: analysisId })).toMatchObject({
      status: 'FAILED',
      error: 'ReportNotApproved',
    });
  });

  it('stops at the stage that its input names, and goes on from there when it is started again', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    for (const until of ['mirrored', 'dual-write', 'unified']) {
      const ended = await cutOver(given, { reportId, until });
      expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { stage: until, outcome: null } });
      expect(await given.system.flags.guard()).toBe(false);
    }
    expect(await cutOver(given, {})).toMatchObject({ output: { stage: 'closed' } });
    expect(await cutOver(given, {})).toMatchObject({ output: { stage: 'closed' } });
    expect(await batches(given)).toMatchObject([{ outcome: 'closed' }]);
  });

  it('waits for the operator to set the flags in manual mode', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    const execution = await given.system.startCutover({
      actor: 'operator',
      reportId,
      flags: 'manual',
      monitor: { seconds: 1, checks: 1 },
    });
    const waiting = (target: string) =>
      eventually(
        async () => given.log.filter((line) => line.action === 'switch').at(-1),
        (line) => line?.done === false,
      ).then((line) => expect(line, target).toMatchObject({ done: false }));
    await waiting('reads');
    expect(await stageOf(given)).toBe('mirrored');
    await put(given, 'unified-reads', 'true');
    await put(given, 'dual-write', 'true');
    await put(given, 'unified-writes', 'true');
    await eventually(
      () => stageOf(given),
      (stage) => stage === 'dual-write',
    );
    await put(given, 'dual-write', 'false');
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
    const actors = await given.legacy.pool.query(
      `select distinct detail ->> 'to' as "to" from migration.event where action = 'flip' and actor = 'flag-changed'`,
    );
    expect(actors.rowCount).toBeGreaterThan(0);
  });
});

describe('flags that ask for what cannot be', () => {
  it('puts unified writes back that come without unified reads, and says why', async () => {
    const given = await rig(50);
    await cutOver(given, { reportId: await approvedReport(given), until: 'mirrored' });
    await put(given, 'unified-writes', 'true');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({
      unifiedReads: false,
      unifiedWrites: false,
    });
    expect(await events(given, 'flag-put-back')).toMatchObject([
      { flags: ['unifiedWrites'], reason: expect.stringMatching(/unified-reads is false/) },
    ]);
    expect(given.log.some((line) => line.FlagPutBack === 1)).toBe(true);
    expect(await stageOf(given)).toBe('mirrored');
  });

  it('puts unified reads back while the copy is under way', async () => {
    const given = await rig(50);
    await pausedCutover(given);
    await put(given, 'unified-reads', 'true');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({ unifiedReads: false });
    expect(await stageOf(given)).toBe('copying');
  });

  it('switches unified reads off at once, with an alarm, when a mirror fails', async () => {
    const given = await rig(50);
    await cutOver(given, { reportId: await approvedReport(given), until: 'mirrored' });
    await put(given, 'unified-reads', 'true');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({ unifiedReads: true });
    await given.legacy.pool.query(
      `update kit set kit_number = (select kit_number from practitioner_kits limit 1) where id = 4`,
    );
    // Any change of a flag, or the schedule, makes it look.
    await put(given, 'shadow-reads', '1');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({ unifiedReads: false });
    expect(await events(given, 'flag-put-back-alarm')).toHaveLength(1);
    const backlog = async () =>
      (await given.legacy.pool.query('select from migration.pending_sync')).rowCount;
    expect(await backlog()).toBe(1);
    // Once the row is corrected the next look heals it, and reads may be switched again.
    await given.legacy.pool.query(`update kit set kit_number = 'K4' where id = 4`);
    await put(given, 'shadow-reads', '2');
    await given.system.aws.parameterChangesHandled();
    expect(await backlog()).toBe(0);
    await put(given, 'unified-reads', 'true');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({ unifiedReads: true });
  });

  it('puts flags back that would leave a closed migration', async () => {
    const given = await rig(50);
    await cutOver(given, { reportId: await approvedReport(given) });
    await put(given, 'unified-writes', 'false');
    await given.system.aws.parameterChangesHandled();
    expect(await given.system.flags.read()).toMatchObject({ unifiedWrites: true });
    expect(await stageOf(given)).toBe('closed');
  });

  it('goes back to legacy writes and forth again when an operator toggles the flags', async () => {
    const given = await rig(50);
    await cutOver(given, { reportId: await approvedReport(given), until: 'unified' });
    await put(given, 'unified-writes', 'false');
    await given.system.aws.parameterChangesHandled();
    expect(await stageOf(given)).toBe('mirrored');
    expect(await cutOver(given, { until: 'unified' })).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'unified' },
    });
  });
});

describe('the guard', () => {
  it('stops the copy when an operator switches it off, and the same batch goes on later', async () => {
    const given = await rig(50);
    const { execution } = await pausedCutover(given);
    await put(given, 'MIGRATION_IN_PROGRESS', 'false');
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'FAILED',
      error: 'GuardRequired',
    });
    await put(given, 'copy-rows-per-second', 'unlimited');
    expect(await cutOver(given, {})).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
    expect(await batches(given)).toHaveLength(1);
  });

  it('counts as on while it cannot be read, so nothing stops and no worker starts', async () => {
    const given = await rig(50);
    await given.system.flags.ensure();
    expect(await given.system.flags.guard()).toBe(false);
    given.system.aws.failNext('GetParameter', 'InternalServerError', 3);
    expect(await given.system.flags.guard()).toBe(true);
    expect(await given.system.flags.guard()).toBe(false);
  });
});

describe('a cutover that fails', () => {
  it('ends in the safe state and finishes with the same batch once the row is corrected', async () => {
    const given = await rig(300);
    const { execution } = await pausedCutover(given);
    await given.legacy.pool.query(
      `insert into practitioner_kits (kit_number, practitioner_id, status) select 'K7', practitioner_id, status from practitioner_kits limit 1`,
    );
    await put(given, 'copy-rows-per-second', 'unlimited');
    const failed = await given.system.waitForExecution(execution);
    expect(failed).toMatchObject({ status: 'FAILED', error: 'DuplicateKitNumber' });
    expect(failed.cause).not.toContain('K7');
    expect(await stageOf(given)).toBe('copying');
    expect(await given.system.flags.read()).toMatchObject({
      unifiedReads: false,
      unifiedWrites: false,
      migrationInProgress: false,
    });
    expect(await events(given, 'settled')).toMatchObject([{ error: failed.error }]);
    const [before] = await batches(given);
    await given.legacy.pool.query(
      `update practitioner_kits set kit_number = 'P-new' where kit_number = 'K7'`,
    );
    const ended = await cutOver(given, {});
    expect(ended).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed', batchId: before?.id, parity: { compared: 601, mismatched: 0 } },
    });
  });

  it('leaves reads on legacy when clients would notice the switch, and goes on once they would not', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    await cutOver(given, { reportId, until: 'mirrored' });
    // Behind the mirror's back, and after parity was proven.
    const notes = (text: string) =>
      given.legacy.db.query(
        `update public.kits set legacy_attributes = jsonb_set(legacy_attributes, '{notes}', to_jsonb($1::text))
          where source = 'kit' and legacy_id = '6' returning id`,
        [text],
        { asEngine: true },
      );
    expect(await notes('not what it was')).toHaveLength(1);
    const failed = await cutOver(given, { contractKits: 100 });
    expect(failed).toMatchObject({ status: 'FAILED', error: 'ContractBroken' });
    expect(failed.cause).toMatch(/GET \/kits\/\{id\} kit 6 \(header etag, notes; 200 and 200\)/);
    expect(failed.cause).not.toContain('not what it was');
    expect(await stageOf(given)).toBe('mirrored');
    expect(await given.system.flags.read()).toMatchObject({
      unifiedReads: false,
      unifiedWrites: false,
      migrationInProgress: false,
    });
    await notes('note 6');
    expect(await cutOver(given, {})).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
  });

  it('raises the alarm and touches nothing once the writes are switched', async () => {
    const given = await rig(50);
    await given.legacy.pool.query(
      'create table result (kit_id bigint references kit (id)); insert into result values (5)',
    );
    const ended = await cutOver(given, { reportId: await approvedReport(given) });
    // The dual-write window cannot end while a foreign key points at a legacy table.
    expect(ended).toMatchObject({ status: 'FAILED', error: 'FlipRefused' });
    expect(ended.cause).toMatch(/result/);
    expect(await stageOf(given)).toBe('dual-write');
    expect(await events(given, 'alarm')).toMatchObject([{ error: 'FlipRefused' }]);
    expect(await given.system.flags.read()).toMatchObject({ unifiedWrites: true, dualWrite: true });
    await given.legacy.pool.query('drop table result');
    expect(await cutOver(given, {})).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
  });

  it('tries again by itself when the server ends its connections', async () => {
    const given = await rig(50);
    const { execution } = await pausedCutover(given);
    await put(given, 'copy-rows-per-second', 'unlimited');
    const hit = () =>
      given.log.some(({ error, action }) => error === 'DatabaseUnwell' && action !== undefined);
    await eventually(
      () =>
        given.legacy.pool.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'unified-kits'`,
        ),
      hit,
    );
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed', parity: { compared: 100, mismatched: 0 } },
    });
  });

  it('goes on with the same batch after the process that ran it died', async () => {
    const legacy = await legacyDatabase(50);
    closing.push(() => legacy.drop());
    const first = await systemOn(legacy);
    const { reportId } = await pausedCutover(first);
    await first.close();
    const second = await systemOn(legacy);
    closing.push(() => second.close());
    expect(await stageOf(second)).toBe('copying');
    expect(await cutOver(second, { reportId })).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
    expect(await batches(second)).toHaveLength(1);
  });
});

describe('two executions at once', () => {
  it("refuses another operator's cutover and leaves the first one be", async () => {
    const given = await rig(50);
    const { execution, reportId } = await pausedCutover(given);
    const refused = await cutOver(given, { reportId, actor: 'colleague' });
    expect(refused).toMatchObject({ status: 'FAILED', error: 'BatchActive' });
    expect(refused.cause).toMatch(/batch .* of operator is active/);
    expect(await given.system.flags.guard()).toBe(true);
    await put(given, 'copy-rows-per-second', 'unlimited');
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
  });

  it('lets the later one take a batch over that it names: the earlier one ends and switches nothing', async () => {
    const given = await rig(50);
    const { execution } = await pausedCutover(given);
    const [batch] = await batches(given);
    const second = await given.system.startCutover({
      actor: 'colleague',
      batchId: batch?.id,
      monitor: { seconds: 1, checks: 1 },
    });
    await eventually(
      () => events(given, 'lead-taken'),
      (taken) => taken.length === 2,
    );
    await put(given, 'copy-rows-per-second', 'unlimited');
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'FAILED',
      error: 'BatchActive',
    });
    expect(await given.system.waitForExecution(second)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed', parity: { mismatched: 0 } },
    });
    expect(await events(given, 'settled')).toEqual([]);
  });

  it('lets one of two begin when both start at the same moment', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    const both = await Promise.all(
      ['one', 'two'].map((actor) => cutOver(given, { reportId, actor })),
    );
    const done = both.filter(({ status }) => status === 'SUCCEEDED');
    expect(done).toHaveLength(1);
    expect(both.find(({ status }) => status === 'FAILED')?.error).toMatch(
      /BatchActive|RehearsalFailed/,
    );
    expect(await batches(given)).toMatchObject([{ outcome: 'closed' }]);
  });
});

describe('the rollback workflow', () => {
  for (const until of ['mirrored', 'dual-write', 'unified', 'closed'] as const)
    it(`goes back from ${until} with every write made there`, async () => {
      const given = await rig(100);
      const before = await legacyContent(given);
      await cutOver(given, { reportId: await approvedReport(given), until });
      const table = until === 'mirrored' ? 'kit' : 'kits';
      const key = until === 'mirrored' ? `id = 7` : `source = 'kit' and legacy_id = '7'`;
      const { pool } = given.legacy;
      await pool.query(`update ${table} set order_id = 'changed' where ${key}`);
      await pool.query(`delete from ${table} where ${key.replace('7', '8')}`);
      if (table === 'kits')
        await pool.query(
          `insert into kits (kit_number, owner_type, user_id, status, created_at, updated_at)
           values ('born', 'client', md5('user1')::uuid, 'created', '2026-01-01', '2026-01-01')`,
        );
      const ended = await rollBack(given);
      expect(ended).toMatchObject({
        status: 'SUCCEEDED',
        output: { stage: 'legacy', outcome: 'rolled-back', proof: { rowsLeft: 0 } },
      });
      const after = await legacyContent(given);
      const gone = before.filter((row) => !after.includes(row));
      const come = after.filter((row) => !before.includes(row));
      expect(gone).toHaveLength(2);
      expect(come).toHaveLength(table === 'kits' ? 2 : 1);
      expect(come.some((row) => row.includes('changed'))).toBe(true);
      expect(await given.system.flags.read()).toMatchObject({
        unifiedReads: false,
        unifiedWrites: false,
        dualWrite: false,
        migrationInProgress: false,
      });
      expect(await events(given, 'flag-put-back')).toEqual([]);
      // Again: there is nothing left to do, and it says so the same way.
      expect(await rollBack(given)).toMatchObject({ output: { outcome: 'rolled-back' } });
      expect(await legacyContent(given)).toEqual(after);
    });

  it('goes back from a copy that died half way, and a new cutover succeeds after it', async () => {
    const given = await rig(50);
    const before = await legacyContent(given);
    const { execution, reportId } = await pausedCutover(given);
    expect(await rollBack(given)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'legacy' },
    });
    await put(given, 'copy-rows-per-second', 'unlimited');
    await given.system.waitForExecution(execution);
    expect(await legacyContent(given)).toEqual(before);
    expect(await cutOver(given, { reportId })).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed' },
    });
  });

  it('takes the batch from a cutover that is still monitoring, which then ends by itself', async () => {
    const given = await rig(50);
    const reportId = await approvedReport(given);
    const execution = await given.system.startCutover({
      actor: 'operator',
      reportId,
      monitor: { seconds: 2, checks: 50 },
    });
    await eventually(
      () => events(given, 'flip').catch(() => []),
      (flips) => flips.some(({ to }) => to === 'dual-write'),
    );
    expect(await rollBack(given)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'legacy' },
    });
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'FAILED',
      error: 'BatchActive',
    });
    expect(await stageOf(given)).toBe('legacy');
  });

  it('says that there is nothing to roll back', async () => {
    const given = await rig(10);
    expect(await rollBack(given)).toMatchObject({ status: 'FAILED', error: 'BatchNotFound' });
  });
});
