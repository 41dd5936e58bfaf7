import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MoveTasks, moveTasks } from '../support/move-tasks.ts';
import {
  type ServiceFunctions,
  serviceFunctions,
  statusJob,
} from '../support/service-functions.ts';
import { eventually } from '../support/system.ts';

let rig: ServiceFunctions;
const closing: (() => Promise<void>)[] = [];
beforeEach(async () => {
  rig = await serviceFunctions();
  closing.push(() => rig.close());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** Has the consumer give messages up, as it does. */
const giveUp = async (...bodies: readonly unknown[]) => {
  await rig.send(
    'jobs',
    bodies.map((body) => ({ body, attributes: OWN })),
  );
  await rig.consume(await rig.take(10));
};
const OWN = { tenant: { DataType: 'String', StringValue: 'a' } };
const LOST = statusJob('lost', { kitId: 999, kitNumber: 'K999' });

interface Listed {
  readonly messageId: string;
  readonly originalMessageId: string;
  readonly reason: string;
  readonly jobId?: string;
}
const list = async (more: object = {}) =>
  (await rig.operate({ action: 'dead-letters', ...more })) as unknown as {
    deadLetters: Listed[];
    more: boolean;
  };
const listed = async () =>
  (await list()).deadLetters.toSorted((a, b) => (a.reason < b.reason ? -1 : 1));
const redrive = (selection: object, invocation?: Parameters<ServiceFunctions['operate']>[1]) =>
  rig.operate({ action: 'redrive', actor: 'operator', ...selection }, invocation);

const kitIsFound = () =>
  rig.legacy.pool.query(
    `insert into kit (id, kit_number, user_id, status) overriding system value select 999, 'K999', user_id, 'registered' from kit where id = 1`,
  );

describe('the list of dead letters', () => {
  it('tells ids and reasons, no content, and leaves the messages where they are', async () => {
    await giveUp(LOST, 'not a job but P-4711 of somebody');
    await rig.send('dead', [{ body: { ...LOST, jobId: 'by-queue', type: 'kit.K999' } }]);
    const answer = await listed();
    expect(answer).toMatchObject([
      { reason: 'malformed', detail: 'the body is not JSON' },
      { reason: 'receives-used-up', jobId: 'by-queue', receiveCount: 1 },
      {
        reason: 'unknown-kit',
        jobId: 'lost',
        type: 'kit.status-changed',
        receiveCount: 1,
        failedAt: expect.stringMatching(/^20/),
        messageId: expect.any(String),
        originalMessageId: expect.any(String),
      },
    ]);
    expect(JSON.stringify([answer, rig.log])).not.toMatch(/K999|4711|somebody/);
    expect(await rig.counts('dead')).toMatchObject({ visible: 3, hidden: 0 });
    expect((await listed()).map(({ messageId }) => messageId)).toEqual(
      answer.map(({ messageId }) => messageId),
    );
  });

  it('ends at its limit, and says so', async () => {
    await giveUp('a', 'b', 'c');
    expect(await list({ limit: 2 })).toMatchObject({ more: true, deadLetters: [{}, {}] });
    expect(await list({ limit: 4 })).toMatchObject({ more: false, deadLetters: [{}, {}, {}] });
    expect(await rig.counts('dead')).toMatchObject({ visible: 3, hidden: 0 });
  });

  it('is empty where nothing was given up', async () => {
    expect(await list()).toEqual({ deadLetters: [], more: false });
  });

  it('says which variable is missing', async () => {
    await expect(
      rig.operate(
        { action: 'dead-letters' },
        { variables: { JOBS_DEAD_LETTER_QUEUE_URL: undefined } },
      ),
    ).rejects.toMatchObject({
      name: 'InvalidInput',
      message: expect.stringContaining('JOBS_DEAD_LETTER_QUEUE_URL'),
    });
  });
});

describe('a redrive', () => {
  it('puts the chosen ones back without their reason, and they are applied once when its cause is gone', async () => {
    await giveUp(LOST, 'garbage');
    // Its copy: the consumer was cut off between giving it up and saying so.
    await giveUp(LOST);
    await kitIsFound();
    expect(await redrive({ reason: 'unknown-kit' })).toEqual({
      done: true,
      by: 'message',
      redriven: 2,
      failed: 0,
      notDeleted: 0,
      missing: [],
    });
    const records = await rig.take(10);
    expect(records.map(({ messageAttributes }) => Object.keys(messageAttributes))).toEqual([
      ['tenant'],
      ['tenant'],
    ]);
    expect(await rig.consume(records)).toEqual({ batchItemFailures: [] });
    const { rows } = await rig.legacy.pool.query(
      `select k.status, (select count(*)::int from kits_service.kit_event) as events from kit k where id = 999`,
    );
    expect(rows).toEqual([{ status: 'received', events: 1 }]);
    expect(await listed()).toMatchObject([{ reason: 'malformed' }]);
  });

  it('takes ids of either kind, and says which it has not found', async () => {
    await giveUp('a', 'b', 'c');
    const [one, other] = await listed();
    expect(
      await redrive({ messageIds: [one?.messageId, other?.originalMessageId, 'nobody'] }),
    ).toMatchObject({ done: true, redriven: 2, missing: ['nobody'] });
    expect(await rig.counts('dead')).toMatchObject({ visible: 1, hidden: 0 });
    expect(await rig.counts('jobs')).toMatchObject({ visible: 2 });
  });

  it('of all leaves nothing, where the endpoint has no task for it', async () => {
    await giveUp('a', 'b');
    await rig.send(
      'dead',
      Array.from({ length: 25 }, (_, n) => ({ body: `by the queue ${n}` })),
    );
    expect(await redrive({ all: true })).toMatchObject({ by: 'message', done: true, redriven: 27 });
    expect(await rig.counts('dead')).toEqual({ visible: 0, hidden: 0, delayed: 0 });
    expect(await rig.counts('jobs')).toMatchObject({ visible: 27 });
  });

  it('loses nothing where the queue of jobs takes half of them only', async () => {
    await giveUp('small', 'x'.repeat(2_000));
    await rig.limit('jobs', 1_024);
    expect(await redrive({ all: true })).toMatchObject({ redriven: 1, failed: 1 });
    expect(await rig.counts('dead')).toMatchObject({ visible: 1, hidden: 0 });
    expect(await rig.counts('jobs')).toMatchObject({ visible: 1 });
  });

  it('loses nothing where there is no queue of jobs', async () => {
    await giveUp('a', 'b');
    await expect(
      redrive(
        { reason: 'malformed' },
        { variables: { JOBS_QUEUE_URL: rig.queues.queueUrl('jobs').replace('jobs', 'gone') } },
      ),
    ).rejects.toMatchObject({ name: 'QueuesUnreachable' });
    expect(await rig.counts('dead')).toMatchObject({ visible: 2, hidden: 0 });
  });

  it('does not go round with what is given up anew meanwhile', async () => {
    await giveUp(...Array.from({ length: 10 }, (_, n) => `garbage ${n}`));
    let redriving = true;
    const givingUp = (async () => {
      while (redriving) await rig.consume(await rig.take(10));
    })();
    const answer = await redrive({ all: true }).finally(() => {
      redriving = false;
    });
    await givingUp;
    expect(answer).toMatchObject({ done: true, redriven: 10 });
    const { visible } = await rig.counts('dead');
    expect(visible + (await rig.counts('jobs')).visible).toBe(10);
    expect(visible).toBeGreaterThan(0);
  });

  it('is on record, with who asked for it and for what', async () => {
    await redrive({ reason: 'unknown-kit' });
    const { rows } = await rig.legacy.pool.query(
      `select actor, detail from migration.event where action = 'redrive'`,
    );
    expect(rows).toEqual([
      { actor: 'operator', detail: { reason: 'unknown-kit', all: false, messages: null } },
    ]);
  });

  it('must be told what to put back, and one way only', async () => {
    for (const selection of [{}, { all: false }, { all: true, reason: 'malformed' }])
      await expect(redrive(selection)).rejects.toMatchObject({ name: 'InvalidInput' });
  });
});

describe("a redrive by SQS' own task", () => {
  let tasks: MoveTasks;
  beforeEach(async () => {
    tasks = await moveTasks(rig.queues.endpoint);
    closing.push(() => tasks.close());
  });
  const onAws = () => ({ variables: { AWS_ENDPOINT_URL_SQS: tasks.endpoint } });

  it('moves all, and a message that is given up again has its new reason alone', async () => {
    await giveUp(LOST, 'b', 'c');
    expect(await redrive({ all: true }, onAws())).toEqual({ by: 'task', done: true, redriven: 3 });
    expect(tasks.tasks).toMatchObject([
      {
        SourceArn: rig.queues.queueArn('dead'),
        DestinationArn: rig.queues.queueArn('jobs'),
      },
    ]);
    expect(await rig.counts('dead')).toMatchObject({ visible: 0 });
    const records = await rig.take(10);
    const lost = records.find(({ body }) => body.includes('lost'));
    await rig.consume(lost === undefined ? [] : [lost]);
    const [dead] = await rig.receive('dead');
    expect(Object.keys(dead?.MessageAttributes ?? {}).sort()).toEqual([
      'detail',
      'failedAt',
      'originalMessageId',
      'reason',
      'tenant',
    ]);
    expect(dead?.MessageAttributes?.originalMessageId?.StringValue).toBe(lost?.messageId);
  });

  it('leaves a choice to the function itself', async () => {
    await giveUp(LOST, 'b');
    expect(await redrive({ reason: 'malformed' }, onAws())).toMatchObject({
      by: 'message',
      redriven: 1,
    });
    expect(tasks.tasks).toEqual([]);
  });

  it('says when the task goes on by itself, and joins it the next time', async () => {
    await giveUp('a', 'b');
    const gate = Promise.withResolvers<void>();
    tasks.hold(gate.promise);
    let remaining = 2_000;
    expect(await redrive({ all: true }, { ...onAws(), remainingMs: () => remaining })).toEqual({
      by: 'task',
      done: false,
      redriven: 0,
    });
    remaining = 20_000;
    const before = tasks.listings();
    const joined = redrive({ all: true }, onAws());
    await eventually(
      async () => tasks.listings(),
      (listings) => listings > before,
    );
    gate.resolve();
    expect(await joined).toEqual({ by: 'task', done: true, redriven: 2 });
    expect(tasks.tasks).toHaveLength(1);
  });

  it("fails with SQS' reason", async () => {
    await giveUp('a');
    tasks.failNext('AccessDenied');
    await expect(redrive({ all: true }, onAws())).rejects.toMatchObject({
      name: 'QueuesUnreachable',
      message: expect.stringContaining('AccessDenied'),
    });
    expect(await rig.counts('dead')).toMatchObject({ visible: 1 });
  });
});
