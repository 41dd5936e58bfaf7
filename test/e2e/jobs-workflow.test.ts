import { afterEach, describe, expect, it } from 'vitest';
import { JobProducer, type ProducedKit, producedKits } from '../support/job-producer.ts';
import { type JobsSystem, type JobsSystemOptions, jobsSystem } from '../support/jobs-system.ts';
import { approvedReport, cutOver, eventually, rollBack, stageOf } from '../support/system.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const open = async (rows: number, options: JobsSystemOptions = {}): Promise<JobsSystem> => {
  const given = await jobsSystem(rows, { jobsVisibilitySeconds: 15, ...options });
  closing.push(() => given.close());
  return given;
};

const PAUSES = ['workers-pausing', 'workers-paused', 'workers-resumed'];

/** Pauses and flips, in the order in which they came. */
const story = async (given: JobsSystem): Promise<string[]> =>
  (await given.events(...PAUSES, 'flip')).map(({ action, detail }) =>
    action === 'flip' ? String((detail as { to: string }).to) : String(action),
  );

const mappingOf = async (given: JobsSystem): Promise<unknown> => {
  const { workers } = await given.queues({ action: 'state' });
  return (workers as { mapping: string }).mapping;
};
const isEnabled = (given: JobsSystem) =>
  eventually(
    () => mappingOf(given),
    (mapping) => mapping === 'Enabled',
  );

/** Until nothing is waiting, in flight, or put back with a delay, and all events were handed on. */
const settled = async (given: JobsSystem): Promise<void> => {
  const until = Date.now() + 120_000;
  for (;;) {
    const { visible, hidden, delayed } = await given.counts('jobs');
    const { rowCount } = await given.legacy.pool.query(
      'select from kits_service.kit_event where sent_at is null',
    );
    if (visible + hidden + delayed + (rowCount ?? 0) === 0) return;
    if (Date.now() > until)
      throw new Error(`left: ${JSON.stringify({ visible, hidden, delayed, unsent: rowCount })}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};

interface KitEvent {
  readonly eventId: string;
  readonly kitsId: string;
  readonly status: string;
  readonly previousStatus: string;
  readonly sequence: string;
}

/** Each job was handled once, garbage lies in the dead-letter queue, and events tell of every change, in order. */
const verify = async (
  given: JobsSystem,
  producer: JobProducer,
  kits: readonly ProducedKit[],
): Promise<void> => {
  const { pool } = given.legacy;
  expect(new Set(await given.handled())).toEqual(new Set(producer.jobs.keys()));
  const dead = (await given.receive('dead')).map(({ Body }) => Body);
  expect(dead.toSorted()).toEqual([...producer.garbage].sort());

  const events = (await given.receive('events')).map(({ Body = '' }): KitEvent => JSON.parse(Body));
  const { rows } = await pool.query(
    `select count(*)::int as count from kits_service.handled_job where outcome = 'applied'`,
  );
  expect(events).toHaveLength(rows[0].count);
  expect(new Set(events.map(({ eventId }) => eventId)).size).toBe(events.length);
  const told = new Map<string, string>(kits.map(({ kitsId, initial }) => [kitsId, initial]));
  const sequences = new Map<string, number>();
  for (const { kitsId, status, previousStatus, sequence } of events) {
    expect(previousStatus).toBe(told.get(kitsId));
    expect(Number(sequence)).toBeGreaterThan(sequences.get(kitsId) ?? 0);
    told.set(kitsId, status);
    sequences.set(kitsId, Number(sequence));
  }
  expect(told).toEqual(producer.expected());
};

/** Jobs handled while the workers were paused: until the last thing on record before they were resumed. */
const handledInPause = async ({ legacy }: JobsSystem): Promise<number> =>
  (
    await legacy.pool.query(`
      with pause as (
        select id, at, (select min(r.id) from migration.event r where r.id > p.id and r.action = 'workers-resumed') as resumed
          from migration.event p where p.action = 'workers-paused')
      select count(*)::int as count from kits_service.handled_job j join pause on j.handled_at between pause.at
             and (select max(e.at) from migration.event e where e.id between pause.id and pause.resumed - 1)`)
  ).rows[0].count;

const CUTOVER = [
  'workers-pausing',
  'workers-paused',
  'copying',
  'mirrored',
  'dual-write',
  'workers-resumed',
  'unified',
  'closed',
];
const ROLLBACK = [
  'workers-pausing',
  'workers-paused',
  'unified',
  'dual-write',
  'mirrored',
  'legacy',
  'workers-resumed',
];

describe('jobs of every shape, without end', () => {
  it('are each applied once through a cutover and a rollback, as if there had been none', async () => {
    const given = await open(150);
    const reportId = await approvedReport(given);
    const kits = await producedKits(given);
    const producer = new JobProducer(given, kits).start();
    closing.push(() => producer.stop());
    const handledAtLeast = async (more: number) => {
      const count = (await given.handled()).length + more;
      await eventually(
        () => given.handled(),
        (ids) => ids.length >= count,
      );
    };
    await handledAtLeast(20);
    expect(await cutOver(given, { reportId })).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'closed', parity: { mismatched: 0 } },
    });
    expect(await story(given)).toEqual(CUTOVER);
    await handledAtLeast(20);
    expect(await rollBack(given)).toMatchObject({
      status: 'SUCCEEDED',
      output: { stage: 'legacy', outcome: 'rolled-back' },
    });
    expect(await story(given)).toEqual([...CUTOVER, ...ROLLBACK]);
    await handledAtLeast(20);
    await producer.stop();
    await settled(given);
    await verify(given, producer, kits);
    expect(await handledInPause(given)).toBe(0);
    const { rows } = await given.legacy.pool.query(
      `select count(*)::int as count from kit where status = 'completed' union all
       select count(*)::int from practitioner_kits where status = 'reported'`,
    );
    const completed = [...producer.expected().values()].filter((status) => status === 'completed');
    expect(rows[0].count + rows[1].count).toBe(completed.length);
  });

  it('go on after a cutover that failed before the switch, and through the one that follows', async () => {
    const given = await open(60);
    const reportId = await approvedReport(given);
    const kits = await producedKits(given);
    const producer = new JobProducer(given, kits, 2).start();
    closing.push(() => producer.stop());
    // Analysed as sound; what comes to be between the analysis and the copy, the copy finds.
    await given.system.flags.write({ copyRowsPerSecond: 0 });
    const execution = await given.system.startCutover({
      actor: 'operator',
      reportId,
      monitor: { seconds: 1, checks: 1 },
    });
    await eventually(
      () => stageOf(given).catch(() => 'none'),
      (stage) => stage === 'copying',
    );
    await given.legacy.pool.query(
      `insert into practitioner_kits (kit_number, practitioner_id, status) select 'K7', practitioner_id, status from practitioner_kits limit 1`,
    );
    await given.system.flags.write({ copyRowsPerSecond: undefined });
    expect(await given.system.waitForExecution(execution)).toMatchObject({
      status: 'FAILED',
      error: 'DuplicateKitNumber',
    });
    expect(await story(given)).toEqual([
      'workers-pausing',
      'workers-paused',
      'copying',
      'workers-resumed',
    ]);
    await isEnabled(given);
    await given.legacy.pool.query(`delete from practitioner_kits where kit_number = 'K7'`);
    // Jobs that named a kit by that number alone could have meant either; now they cannot.
    expect(
      await given.queues({ action: 'redrive', reason: 'ambiguous-kit', actor: 'operator' }),
    ).toMatchObject({ done: true, failed: 0 });
    expect(await cutOver(given, {})).toMatchObject({ status: 'SUCCEEDED' });
    expect((await story(given)).slice(4)).toEqual(CUTOVER.filter((step) => step !== 'copying'));
    await producer.stop();
    await settled(given);
    await verify(given, producer, kits);
    expect(await handledInPause(given)).toBe(0);
  });
});

describe("the workers' pause in the workflows", () => {
  it('is none of an analysis, and none of a cutover that goes on after the switch', async () => {
    const given = await open(30);
    const reportId = await approvedReport(given);
    expect(await given.events(...PAUSES)).toEqual([]);
    expect(await cutOver(given, { reportId, until: 'dual-write' })).toMatchObject({
      output: { stage: 'dual-write' },
    });
    const before = await given.events(...PAUSES);
    expect(before).toHaveLength(3);
    expect(await cutOver(given, {})).toMatchObject({ output: { stage: 'closed' } });
    expect(await given.events(...PAUSES)).toEqual(before);
    expect(await mappingOf(given)).toBe('Enabled');
  });

  it('that does not come to rest ends the cutover before it begins, and the workers go on', async () => {
    const given = await open(30, { functionTimeoutSeconds: 6, jobsVisibilitySeconds: 30 });
    const reportId = await approvedReport(given);
    await given.queues({ action: 'pause-workers', actor: 'operator' });
    await given.send(['held by nobody who would delete it']);
    expect(await given.receive('jobs', 120)).toHaveLength(1);
    await given.queues({ action: 'resume-workers', actor: 'operator' });
    const ended = await cutOver(given, { reportId });
    expect(ended).toMatchObject({ status: 'FAILED', error: 'WorkersBusy' });
    expect(ended.cause).toMatch(/1 messages are in flight/);
    expect((await story(given)).slice(3)).toEqual(['workers-pausing', 'workers-resumed']);
    expect(await given.system.flags.guard()).toBe(false);
    await isEnabled(given);
  });

  it("leaves an operator's pause after the switch alone; a rollback pauses, and resumes, by itself", async () => {
    const given = await open(30);
    const reportId = await approvedReport(given);
    await cutOver(given, { reportId, until: 'dual-write' });
    await given.queues({ action: 'pause-workers', actor: 'operator' });
    expect(await cutOver(given, { until: 'unified' })).toMatchObject({ status: 'SUCCEEDED' });
    expect(await mappingOf(given)).toBe('Disabled');
    expect(await rollBack(given)).toMatchObject({ output: { stage: 'legacy' } });
    await isEnabled(given);
  });
});
