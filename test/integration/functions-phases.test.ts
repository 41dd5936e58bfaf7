import { approveReport, readStage } from '@unified-kits/data';
import type { Context } from 'aws-lambda';
import { afterEach, describe, expect, it } from 'vitest';
import { handler as analysis } from '../../functions/phase0-analysis/handler.ts';
import { handler as schema } from '../../functions/phase1-schema/handler.ts';
import { handler as migration } from '../../functions/phase2-migration/handler.ts';
import { handler as services } from '../../functions/phase3-services/handler.ts';
import { handler as validation } from '../../functions/phase6-validation/handler.ts';
import { handler as cleanup } from '../../functions/phase7-cleanup/handler.ts';
import { handler as rollback } from '../../functions/rollback/handler.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { localFunctions } from '../../infra/local/aws/functions.ts';
import { approvedReport, cutOver, type Rig, rigOf } from '../support/system.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Handler = (event: unknown, context: Context) => unknown;

/** Calls functions one by one, as the workflow would, on a system whose workflows are left alone. */
const caller = async (rows = 200) => {
  const rig = await rigOf(rows);
  closing.push(() => rig.close());
  const { aws } = rig.system;
  const variables = {
    DATABASE_URL: rig.legacy.url,
    KITS_ENVIRONMENT: 'test',
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
  };
  const log: string[] = [];
  const call = async (
    handler: unknown,
    event: unknown,
    timeoutSeconds = 60,
  ): Promise<Record<string, unknown>> => {
    const functions = localFunctions();
    functions.register(
      'arn',
      (given, context) =>
        withEnvironment({ variables, log: (line) => log.push(line) }, () =>
          (handler as Handler)(given, context),
        ),
      { timeoutSeconds },
    );
    return JSON.parse(await functions.invoke('arn', JSON.stringify(event)));
  };
  return { rig, call, log, variables };
};

const run = (more: object = {}) => ({
  execution: 'one',
  mode: 'cutover',
  reportId: null,
  batchId: null,
  flags: 'auto',
  lanes: 2,
  laneNumbers: [0, 1],
  dualWrite: true,
  monitor: { seconds: 1, checks: 2 },
  rehearsalRows: 20,
  actor: 'operator',
  until: 'closed',
  ...more,
});

const stageOf = async ({ legacy }: Rig) =>
  (await legacy.db.transaction({ asEngine: true }, readStage)).stage;

type Call = Awaited<ReturnType<typeof caller>>['call'];

/** Up to stage `mirrored` with exact parity; the batch's id. */
const toMirrored = async (call: Call): Promise<unknown> => {
  await call(schema, { action: 'install', run: run() });
  const { batchId } = await call(migration, { action: 'begin', run: run() });
  await call(migration, { action: 'copy', run: run(), batchId, lane: 0 });
  await call(migration, { action: 'finish', run: run(), batchId });
  await call(migration, { action: 'mirror', run: run(), batchId });
  const { runId } = await call(validation, { action: 'begin-parity', run: run(), batchId });
  await call(validation, { action: 'compare', run: run(), batchId, runId, lane: 0 });
  await call(validation, { action: 'finish-parity', run: run(), batchId, runId, attempt: 0 });
  return batchId;
};

describe('a function', () => {
  it('refuses an event that it does not understand, saying what is wrong with it', async () => {
    const { call } = await caller(1);
    for (const handler of [analysis, schema, migration, services, validation, cleanup, rollback])
      await expect(call(handler, { action: 'dance' })).rejects.toMatchObject({
        name: 'InvalidInput',
        message: expect.stringContaining('action'),
      });
  });

  it('says which environment variable is missing', async () => {
    const functions = localFunctions();
    functions.register('arn', (event, context) =>
      withEnvironment({ variables: {}, log: () => {} }, () => (schema as Handler)(event, context)),
    );
    await expect(
      functions.invoke('arn', JSON.stringify({ action: 'install', run: run() })),
    ).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringContaining('DATABASE_URL'),
    });
  });

  it('calls a database that does not answer unwell, so that the workflow tries again', async () => {
    const functions = localFunctions();
    functions.register('arn', (event, context) =>
      withEnvironment(
        { variables: { DATABASE_URL: 'postgres://nobody@127.0.0.1:9/none' }, log: () => {} },
        () => (schema as Handler)(event, context),
      ),
    );
    await expect(
      functions.invoke('arn', JSON.stringify({ action: 'install', run: run() })),
    ).rejects.toMatchObject({ name: 'DatabaseUnwell' });
  });

  it('lets no value of a row out with an error, nor into its log', async () => {
    const { rig, call, log } = await caller(20);
    await rig.legacy.pool.query(
      `create function refuse_secret() returns trigger language plpgsql as $$ begin raise exception 'value secret-4711 in kit K5'; end $$;`,
    );
    await call(schema, { action: 'install', run: run() });
    const { batchId } = await call(migration, { action: 'begin', run: run() });
    await rig.legacy.pool.query(
      'create trigger zz_refuse before insert on kits for each row execute function refuse_secret()',
    );
    const failure = await call(migration, {
      action: 'copy',
      run: run(),
      batchId,
      lane: 0,
    }).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'DatabaseFault',
      message: expect.stringContaining('P0001'),
    });
    expect(String((failure as Error).message)).not.toContain('4711');
    expect(log.join('\n')).not.toContain('4711');
    expect(log.join('\n')).not.toContain('K5');
  });

  it('stops shortly before its deadline and goes on when it is called again', async () => {
    const { rig, call } = await caller(200);
    await call(schema, { action: 'install', run: run() });
    const { batchId } = await call(migration, { action: 'begin', run: run() });
    const ceiling = async (copyRowsPerSecond: number | undefined) => {
      await rig.system.flags.write({ copyRowsPerSecond });
      // What the functions have cached is as new as the last change they were told of.
      await rig.system.aws.parameterChangesHandled();
    };
    await ceiling(50);
    const copy = { action: 'copy', run: run({ lanes: 1 }), batchId, lane: 0 };
    const began = Date.now();
    expect(await call(migration, copy, 2)).toMatchObject({ done: false, rows: 200 });
    expect(Date.now() - began).toBeLessThan(2_000);
    await ceiling(undefined);
    expect(await call(migration, copy)).toMatchObject({ done: true, rows: 200 });
    const copied = await rig.legacy.pool.query('select count(*)::int as n from kits');
    expect(copied.rows).toEqual([{ n: 400 }]);
  });
});

describe('phase 0', () => {
  it('fills in what the input leaves out', async () => {
    const { call } = await caller(1);
    expect(
      await call(analysis, { action: 'accept', execution: 'e', input: { actor: 'operator' } }),
    ).toMatchObject({
      run: {
        execution: 'e',
        mode: 'cutover',
        lanes: 2,
        laneNumbers: [0, 1],
        dualWrite: true,
        monitor: { seconds: 300, checks: 288 },
        until: 'closed',
        reportId: null,
        batchId: null,
      },
    });
  });

  it('refuses to stop at a stage that it would pass by', async () => {
    const { call } = await caller(1);
    await expect(
      call(analysis, {
        action: 'accept',
        execution: 'e',
        input: { actor: 'operator', until: 'dual-write', dualWrite: false },
      }),
    ).rejects.toMatchObject({ name: 'InvalidInput', message: expect.stringContaining('until') });
  });

  it('asks for the report when a cutover names none', async () => {
    const { call, rig } = await caller(20);
    const found = await call(analysis, { action: 'analyse', run: run() });
    const verify = { action: 'verify-approval', run: run(), analysisId: found.analysisId };
    await expect(call(analysis, verify)).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringContaining('reportId'),
    });
    const reportId = String(found.analysisId);
    await approveReport(rig.legacy.db, {
      reportId,
      digest: String(found.digest),
      actor: 'operator',
    });
    expect(await call(analysis, { ...verify, run: run({ reportId }) })).toMatchObject({
      approved: true,
      approvedBy: 'operator',
    });
  });
});

describe('the sign-off', () => {
  it('binds an operator to the digest that was shown, and lets the cutover pass', async () => {
    const { call } = await caller(50);
    const { analysisId, digest } = await call(analysis, {
      action: 'analyse',
      run: run({ mode: 'analyse' }),
    });
    const approve = (shown: unknown) =>
      call(analysis, { action: 'approve', reportId: analysisId, digest: shown, actor: 'operator' });
    await expect(approve('another')).rejects.toMatchObject({ name: 'ReportNotApproved' });
    expect(await approve(digest)).toMatchObject({ reportId: analysisId, approvedBy: 'operator' });
    const verified = await call(analysis, {
      action: 'verify-approval',
      run: run({ reportId: analysisId }),
      analysisId,
    });
    expect(verified).toMatchObject({ approved: true, approvedBy: 'operator' });
  });
});

describe('phase 2', () => {
  it('takes every step twice without harm', async () => {
    const { rig, call } = await caller(100);
    const batchId = await toMirrored(call);
    expect(await call(migration, { action: 'begin', run: run() })).toMatchObject({
      batchId,
      resumed: true,
      stage: 'mirrored',
    });
    for (const action of ['copy', 'finish', 'drain', 'mirror'])
      await call(migration, { action, run: run(), batchId, lane: 0 });
    expect(await stageOf(rig)).toBe('mirrored');
    const { runId } = await call(validation, { action: 'begin-parity', run: run(), batchId });
    expect(runId).toBeNull();
  });

  it('ends for an execution that another one has overtaken, which its failure does not disturb', async () => {
    const { rig, call } = await caller(50);
    const batchId = await toMirrored(call);
    const second = run({ execution: 'two' });
    await call(migration, { action: 'begin', run: second });
    await expect(call(migration, { action: 'drain', run: run(), batchId })).rejects.toMatchObject({
      name: 'BatchActive',
      message: expect.stringContaining('two'),
    });
    const failure = { Error: 'BatchActive' };
    expect(await call(migration, { action: 'settle', run: run(), failure })).toMatchObject({
      settled: false,
    });
    expect(await rig.system.flags.guard()).toBe(true);
    expect(await call(migration, { action: 'settle', run: second, failure })).toMatchObject({
      settled: true,
    });
    expect(await rig.system.flags.guard()).toBe(false);
  });

  it('does not resume forwards what is half rolled back', async () => {
    const { call } = await caller(50);
    const batchId = await toMirrored(call);
    const { run: back } = await call(rollback, {
      action: 'begin',
      execution: 'back',
      input: { actor: 'operator' },
    });
    await call(rollback, { action: 'reverse', run: back });
    await expect(call(migration, { action: 'begin', run: run() })).rejects.toMatchObject({
      name: 'BatchActive',
      message: expect.stringContaining(`${batchId} is half rolled back`),
    });
  });
});

describe('phase 6', () => {
  it('repairs differences through the backlog and gives up naming keys and columns, never values', async () => {
    const { rig, call } = await caller(50);
    const batchId = await toMirrored(call);
    const spoil = () =>
      rig.legacy.db.transaction({ asEngine: true }, (session) =>
        session.query(
          `update public.kits set order_id = 'secret' where source = 'kit' and legacy_id = '5'`,
        ),
      );
    const compare = async (attempt: number) => {
      // The proof that this stage has is of before.
      await rig.legacy.pool.query('delete from migration.parity_run');
      const { runId } = await call(validation, { action: 'begin-parity', run: run(), batchId });
      await call(validation, { action: 'compare', run: run(), batchId, runId, lane: 0 });
      return call(validation, { action: 'finish-parity', run: run(), batchId, runId, attempt });
    };
    await spoil();
    expect(await compare(0)).toEqual({
      done: true,
      ok: false,
      attempt: 1,
      compared: 100,
      mismatched: 1,
    });
    await call(migration, { action: 'drain', run: run(), batchId });
    expect(await compare(1)).toMatchObject({ ok: true, mismatched: 0 });
    await spoil();
    const failure = await compare(3).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'ParityMismatch',
      message: expect.stringContaining('kit 5 (order_id)'),
    });
    expect(String(failure)).not.toContain('secret');
  });
});

describe('phase 7', () => {
  it('reports a breach when sampled rows differ, by key', async () => {
    const { rig, call } = await caller(50);
    const batchId = await toMirrored(call);
    await call(services, { action: 'switch', run: run(), batchId, target: 'reads' });
    await call(services, { action: 'switch', run: run(), batchId, target: 'writes' });
    expect(await stageOf(rig)).toBe('dual-write');
    const monitor = { action: 'monitor', run: run(), batchId, checks: 0 };
    expect(await call(cleanup, monitor)).toMatchObject({ done: false, checks: 1, compared: 100 });
    await rig.legacy.db.transaction({ asEngine: true }, (session) =>
      session.query(`update public.kit set order_id = 'other' where id = 6`),
    );
    await expect(call(cleanup, monitor)).rejects.toMatchObject({
      name: 'MonitorBreach',
      message: expect.stringContaining('kit 6 (order_id)'),
    });
  });

  it('reports a breach when the mirror cannot do its work, and none once it could', async () => {
    const { rig, call } = await caller(50);
    const batchId = await toMirrored(call);
    await call(services, { action: 'switch', run: run(), batchId, target: 'reads' });
    await call(services, { action: 'switch', run: run(), batchId, target: 'writes' });
    await rig.legacy.pool.query(
      `alter table kit add constraint short check (order_id <> 'wrong') not valid`,
    );
    await rig.legacy.pool.query(
      `update kits set order_id = 'wrong' where source = 'kit' and legacy_id = '9'`,
    );
    const monitor = { action: 'monitor', run: run(), batchId, checks: 0 };
    await expect(call(cleanup, monitor)).rejects.toMatchObject({ name: 'MonitorBreach' });
    await rig.legacy.pool.query('alter table kit drop constraint short');
    expect(await call(cleanup, monitor)).toMatchObject({ checks: 1 });
  });

  it('notices that the writes were switched back while it watches', async () => {
    const { call } = await caller(20);
    const batchId = await toMirrored(call);
    await expect(
      call(cleanup, { action: 'monitor', run: run(), batchId, checks: 0 }),
    ).rejects.toMatchObject({
      name: 'MonitorBreach',
      message: expect.stringContaining('mirrored'),
    });
  });
});

describe('the rollback', () => {
  it('refuses a batch that another one has followed', async () => {
    const { rig, call } = await caller(20);
    const ended = await cutOver(rig, { reportId: await approvedReport(rig), until: 'mirrored' });
    const { batchId } = ended.output as { batchId: string };
    await rig.system.waitForExecution(await rig.system.startRollback({ actor: 'operator' }));
    const second = await call(migration, { action: 'begin', run: run() });
    await expect(
      call(rollback, { action: 'begin', execution: 'x', input: { actor: 'operator', batchId } }),
    ).rejects.toMatchObject({
      name: 'RollbackRefused',
      message: expect.stringContaining(String(second.batchId)),
    });
  });

  it('stops in dual-write while a foreign key points at kits, and goes on once it is turned round', async () => {
    const { rig, call } = await caller(30);
    const batchId = await toMirrored(call);
    await call(services, { action: 'switch', run: run(), batchId, target: 'reads' });
    await call(services, { action: 'switch', run: run(), batchId, target: 'writes' });
    await rig.legacy.pool.query('create table result (kits_id uuid references kits (id))');
    const back = async () =>
      rig.system.waitForExecution(await rig.system.startRollback({ actor: 'operator' }));
    expect(await back()).toMatchObject({
      status: 'FAILED',
      error: 'RollbackRefused',
      cause: expect.stringContaining('result'),
    });
    expect(await stageOf(rig)).toBe('dual-write');
    expect(await rig.system.flags.read()).toMatchObject({
      unifiedWrites: true,
      migrationInProgress: false,
    });
    await rig.legacy.pool.query('drop table result');
    expect(await back()).toMatchObject({ status: 'SUCCEEDED', output: { stage: 'legacy' } });
  });

  it('repairs from kits what the mirror left undone, before authority returns', async () => {
    const { rig, call } = await caller(50);
    const batchId = await toMirrored(call);
    await call(services, { action: 'switch', run: run(), batchId, target: 'reads' });
    await call(services, { action: 'switch', run: run(), batchId, target: 'writes' });
    await rig.legacy.db.transaction({ asEngine: true }, (session) =>
      session.query(`update public.kit set order_id = 'lost' where id = 6`),
    );
    const ended = await rig.system.waitForExecution(
      await rig.system.startRollback({ actor: 'operator' }),
    );
    expect(ended).toMatchObject({ status: 'SUCCEEDED', output: { stage: 'legacy' } });
    const { rows } = await rig.legacy.pool.query('select order_id from kit where id = 6');
    expect(rows).toEqual([{ order_id: 'O6' }]);
  });
});
