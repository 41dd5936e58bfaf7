import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LambdaClient, UpdateEventSourceMappingCommand } from '@aws-sdk/client-lambda';
import { beginBatch, markWork, takeLead } from '@unified-kits/data';
import { afterEach, describe, expect, it } from 'vitest';
import { JOBS_MAPPING_ID } from '../../infra/local/service.ts';
import {
  handledAre,
  type JobsSystem,
  type JobsSystemOptions,
  jobsSystem,
  jobsSystemOn,
} from '../support/jobs-system.ts';
import { installed, legacyDatabase } from '../support/legacy.ts';
import { statusJob } from '../support/service-functions.ts';
import { until } from '../support/sessions.ts';
import { eventually, rigOf } from '../support/system.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const open = async (options: JobsSystemOptions = {}): Promise<JobsSystem> => {
  const given = await jobsSystem(20, options);
  closing.push(() => given.close());
  return given;
};

const run = (execution: string) => ({
  execution,
  mode: 'cutover',
  reportId: null,
  batchId: null,
  flags: 'auto',
  lanes: 1,
  laneNumbers: [0],
  dualWrite: true,
  monitor: { seconds: 1, checks: 1 },
  rehearsalRows: 1,
  actor: execution,
  until: 'closed',
});
const pauseOf = (execution: string, attempt = 0) => ({
  action: 'pause',
  workflow: 'cutover',
  run: run(execution),
  attempt,
});
const releaseOf = (execution: string) => ({ action: 'release', run: run(execution) });

const mappingOf = async (given: JobsSystem): Promise<unknown> => {
  const { workers } = await given.queues({ action: 'state' });
  return (workers as { mapping: string }).mapping;
};
const isMapping = (given: JobsSystem, state: string) =>
  eventually(
    () => mappingOf(given),
    (mapping) => mapping === state,
  );

const actions = async (given: JobsSystem) =>
  (await given.events('workers-pausing', 'workers-paused', 'workers-resumed')).map(
    ({ action, detail }) => [action, (detail as { execution: string | null }).execution],
  );

/** A job under way: whoever changes a kit waits at a gate, for up to ten seconds. */
const jobUnderWay = async (given: JobsSystem) => {
  const { pool } = given.legacy;
  await pool.query(`
    create table gate (opened boolean);
    create function wait_at_gate() returns trigger language plpgsql security definer as $$
      begin
        while not exists (select from gate) loop perform pg_sleep(0.02); end loop;
        return new;
      end $$;
    create trigger wait_at_gate before update on kit for each row execute function wait_at_gate()`);
  await given.send([statusJob('held', { kitId: 1 })]);
  await until(
    given.legacy.db,
    `exists (select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep')`,
  );
  return { done: () => pool.query('insert into gate values (true)') };
};

/** As an operator does it in the console. */
const enable = async (given: JobsSystem, Enabled: boolean) => {
  const { endpoint, region, credentials } = given.system.aws;
  const lambda = new LambdaClient({ endpoint, region, credentials });
  await lambda.send(new UpdateEventSourceMappingCommand({ UUID: JOBS_MAPPING_ID, Enabled }));
  lambda.destroy();
};

describe('the pause', () => {
  it('waits for what is in flight, names it, and lets nobody start anything', async () => {
    const given = await open({ functionTimeoutSeconds: 2 });
    const job = await jobUnderWay(given);
    const first = await given.queues(pauseOf('one'));
    expect(first).toMatchObject({
      done: false,
      attempt: 1,
      mapping: 'Disabling',
      messagesInFlight: 1,
      invocations: 1,
    });
    const { workers } = await given.queues({ action: 'state' });
    const [working] = (workers as { working: { id: string; since: string }[] }).working;
    expect(Date.parse(working?.since ?? '')).toBeLessThanOrEqual(Date.now());
    await expect(given.queues(pauseOf('one', 3))).rejects.toMatchObject({
      name: 'WorkersBusy',
      message: expect.stringContaining(`${working?.id} since ${working?.since}`),
    });
    await given.send([statusJob('later', { kitId: 2 })]);
    await job.done();
    expect(await given.queues(pauseOf('one', 1))).toMatchObject({
      done: true,
      attempt: 2,
      mapping: 'Disabled',
      messagesInFlight: 0,
      messagesWaiting: 1,
    });
    expect(await given.handled()).toEqual(['held']);
    expect(await actions(given)).toEqual([
      ['workers-pausing', 'one'],
      ['workers-paused', 'one'],
    ]);
  });

  it('waits for a worker that died no longer than it could have worked, and for its messages', async () => {
    const given = await open({ functionTimeoutSeconds: 20, jobsVisibilitySeconds: 4 });
    await given.queues({ action: 'pause-workers', actor: 'operator' });
    await given.queues({ action: 'resume-workers', actor: 'operator' });
    await given.legacy.db.transaction({ asEngine: true }, (session) =>
      markWork(session, {
        id: '11111111-1111-4111-8111-111111111111',
        worker: 'phase5-jobs',
        remainingMs: 2_000,
      }),
    );
    // Received by nobody who would delete it.
    await enable(given, false);
    await isMapping(given, 'Disabled');
    await given.send([statusJob('orphan', { kitId: 1 })]);
    expect(await given.receive('jobs', 4)).toHaveLength(1);
    expect(await given.queues(pauseOf('one'))).toMatchObject({ done: true, messagesInFlight: 0 });
    expect(await given.counts('jobs')).toMatchObject({ visible: 1, hidden: 0 });
  });

  it('is asked for again when somebody enables the mapping meanwhile', async () => {
    const given = await open({ functionTimeoutSeconds: 30, jobsVisibilitySeconds: 8 });
    await enable(given, false);
    await isMapping(given, 'Disabled');
    await given.send(['held by nobody who would delete it']);
    expect(await given.receive('jobs', 8)).toHaveLength(1);
    const pausing = given.queues(pauseOf('one'));
    await eventually(
      () => given.events('workers-pausing'),
      (asked) => asked.length === 1,
    );
    await enable(given, true);
    expect(await pausing).toMatchObject({ done: true, mapping: 'Disabled' });
    expect(await mappingOf(given)).toBe('Disabled');
  });

  it('and its end wait for a change of the mapping that is under way', async () => {
    const given = await open({ functionTimeoutSeconds: 20 });
    const job = await jobUnderWay(given);
    await enable(given, false);
    expect(await mappingOf(given)).toBe('Disabling');
    const resuming = given.queues({ action: 'resume-workers', actor: 'operator' });
    await job.done();
    expect(await resuming).toMatchObject({ done: true });
    await isMapping(given, 'Enabled');
  });

  it('outlives the process, and with it a deployment', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'workers-'));
    closing.push(() => rm(folder, { recursive: true }));
    const legacy = await legacyDatabase(20);
    closing.push(() => legacy.drop());
    const stateFile = join(folder, 'state.json');
    const before = await jobsSystemOn(legacy, { stateFile });
    expect(await before.queues({ action: 'pause-workers', actor: 'operator' })).toMatchObject({
      done: true,
    });
    await before.close();
    const after = await jobsSystemOn(legacy, { stateFile });
    closing.push(() => after.close());
    await isMapping(after, 'Disabled');
    await after.send([statusJob('waits', { kitId: 1 })]);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(await after.handled()).toEqual([]);
    await after.queues({ action: 'resume-workers', actor: 'operator' });
    expect(await handledAre(after, 1)).toEqual(['waits']);
  });

  it('is none where no queue has a consumer', async () => {
    const given = await rigOf(5);
    closing.push(() => given.close());
    const invoke = (event: Record<string, unknown>) => given.system.invoke('phase5-queues', event);
    expect(await invoke(pauseOf('one'))).toMatchObject({ done: true, configured: false });
    expect(await invoke(releaseOf('one'))).toMatchObject({ done: true, configured: false });
    for (const action of ['pause-workers', 'resume-workers', 'state'])
      expect(await invoke({ action, actor: 'operator' })).toMatchObject({ configured: false });
  });

  it('says whose permission is missing, so that the workflow can try again', async () => {
    const given = await open();
    given.system.aws.failNext('GetEventSourceMapping', 'AccessDeniedException');
    await expect(given.queues(pauseOf('one'))).rejects.toMatchObject({
      name: 'QueuesUnreachable',
      message: expect.stringMatching(/GetEventSourceMapping.*AccessDeniedException/),
    });
  });
});

describe('a release', () => {
  it('ends the pause of its own execution, once', async () => {
    const given = await open();
    await given.queues(pauseOf('one'));
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: true });
    await isMapping(given, 'Enabled');
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: false });
    expect(await actions(given)).toEqual([
      ['workers-pausing', 'one'],
      ['workers-paused', 'one'],
      ['workers-resumed', 'one'],
    ]);
  });

  it('ends a pause that did not come to rest, too', async () => {
    const given = await open({ functionTimeoutSeconds: 2 });
    const job = await jobUnderWay(given);
    await expect(given.queues(pauseOf('one', 3))).rejects.toMatchObject({ name: 'WorkersBusy' });
    await job.done();
    await isMapping(given, 'Disabled');
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: true });
    await isMapping(given, 'Enabled');
  });

  it('does nothing while the guard is on, and fails when nobody can say whether it is', async () => {
    const given = await open();
    await given.queues(pauseOf('one'));
    await given.system.flags.write({ migrationInProgress: true });
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: false });
    await given.system.flags.write({ migrationInProgress: false });
    given.system.aws.failNext('GetParameters', 'AccessDeniedException');
    await expect(given.queues(releaseOf('one'))).rejects.toMatchObject({
      name: 'FlagsUnreadable',
    });
    expect(await mappingOf(given)).toBe('Disabled');
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: true });
  });

  it("leaves another execution's pause alone, and an operator's", async () => {
    const given = await open();
    await given.queues(pauseOf('one'));
    expect(await given.queues(releaseOf('two'))).toMatchObject({ released: false });
    await given.queues({ action: 'pause-workers', actor: 'operator' });
    expect(await given.queues(releaseOf('one'))).toMatchObject({ released: false });
    expect(await mappingOf(given)).toBe('Disabled');
    await given.queues({ action: 'resume-workers', actor: 'operator' });
    await isMapping(given, 'Enabled');
  });

  it('ends the pause of an execution that drove the same batch before and died', async () => {
    const given = await open();
    const { db } = given.legacy;
    const binding = await installed(given.legacy);
    await given.queues(pauseOf('one'));
    const batch = await db.transaction({ asEngine: true }, async (session) => {
      const { id } = await beginBatch(session, binding, {
        kind: 'full',
        reportId: null,
        actor: 'one',
        phase: 'test',
      });
      await takeLead(session, id, { execution: 'one', workflow: 'cutover' }, 'one');
      return id;
    });
    expect(await given.queues(releaseOf('two'))).toMatchObject({ released: false });
    await db.transaction({ asEngine: true }, (session) =>
      takeLead(session, batch, { execution: 'two', workflow: 'cutover' }, 'two'),
    );
    expect(await given.queues(releaseOf('two'))).toMatchObject({ released: true });
  });
});
