import type { SQSRecord } from 'aws-lambda';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type ServiceFunctions,
  serviceFunctions,
  statusJob,
} from '../support/service-functions.ts';
import { until, WAITING } from '../support/sessions.ts';

let rig: ServiceFunctions;
beforeEach(async () => {
  rig = await serviceFunctions();
});
afterEach(() => rig.close());

/** Jobs for kits 1 to `count`, one each. */
const jobs = (count: number) =>
  Array.from({ length: count }, (_, n) => ({
    body: statusJob(`job-${n + 1}`, { kitId: n + 1 }, 'completed'),
  }));
const CLOSED = 'http://127.0.0.1:1';

const handled = async (): Promise<string[]> =>
  (
    await rig.legacy.pool.query(
      'select job_id from kits_service.handled_job order by length(job_id), job_id',
    )
  ).rows.map(({ job_id }) => job_id);
const marks = async (): Promise<Record<string, unknown>[]> =>
  (await rig.legacy.pool.query('select * from kits_service.work_mark')).rows;
const idsOf = (records: readonly SQSRecord[]) => records.map(({ messageId }) => messageId).sort();
const failedOf = ({ batchItemFailures }: { batchItemFailures: { itemIdentifier: string }[] }) =>
  batchItemFailures.map(({ itemIdentifier }) => itemIdentifier).sort();

/** The dead letters, each with its reason, in the order of their bodies. */
const deadLetters = async () =>
  (await rig.receive('dead'))
    .map(({ Body = '', MessageAttributes = {} }) => ({
      body: Body,
      reason: MessageAttributes.reason?.StringValue,
      attributes: MessageAttributes,
    }))
    .sort((a, b) => (a.body < b.body ? -1 : 1));

/** As often as the queue has handed it out. */
const receivedTimes = (record: SQSRecord, times: number): SQSRecord => ({
  ...record,
  attributes: { ...record.attributes, ApproximateReceiveCount: String(times) },
});

describe('a batch with one bad message', () => {
  it('has all others applied; the bad one goes to the dead letters with its reason', async () => {
    await rig.send('jobs', [...jobs(9), { body: 'no job at all' }]);
    const response = await rig.consume(await rig.take(10));
    expect(response).toEqual({ batchItemFailures: [] });
    expect(await handled()).toHaveLength(9);
    expect(await deadLetters()).toMatchObject([{ body: 'no job at all', reason: 'malformed' }]);
    expect(await marks()).toEqual([]);
  });

  it('has all others applied also where that one makes the whole lookup fail', async () => {
    // Whoever reads row 13 fails, and with it the query that looks up ten kits at once.
    await rig.legacy.pool.query(`
      create function trap(id bigint) returns boolean language plpgsql as
        $$ begin if id = 13 then raise 'row 13 cannot be read'; end if; return true; end $$;
      alter table kit enable row level security;
      create policy trap on kit using (trap(id));
      create index on kit (kit_number)`);
    await rig.legacy.pool.query(
      `alter role ${new URL(rig.serviceUrl).username} set enable_seqscan = off`,
    );
    await rig.send('jobs', [{ body: statusJob('trapped', { kitId: 13 }) }, ...jobs(9)]);
    const records = await rig.take(10);
    const [trapped] = records.filter(({ body }) => body.includes('trapped'));
    expect(failedOf(await rig.consume(records))).toEqual([trapped?.messageId]);
    expect(await handled()).toHaveLength(9);
    expect(rig.log).toContainEqual(
      expect.objectContaining({
        message: 'a job will be tried again',
        messageId: trapped?.messageId,
        reason: 'KitRefused',
      }),
    );
  });

  it('keeps the bad one when it cannot be given up, and nothing else', async () => {
    await rig.send('jobs', [...jobs(2), { body: 'garbage' }]);
    const records = await rig.take(10);
    const response = await rig.consume(records, {
      variables: {
        JOBS_DEAD_LETTER_QUEUE_URL: rig.queues.queueUrl('dead').replace('dead', 'gone'),
      },
    });
    expect(failedOf(response)).toEqual(idsOf(records.filter(({ body }) => body === 'garbage')));
    expect(await handled()).toEqual(['job-1', 'job-2']);
    // Its next delivery finds the queue.
    await rig.consume(records.filter(({ body }) => body === 'garbage'));
    expect(await deadLetters()).toMatchObject([{ body: 'garbage', reason: 'malformed' }]);
  });

  it('gives it up with its attributes, as many as there is room for beside the reason', async () => {
    const own = Object.fromEntries(
      Array.from({ length: 10 }, (_, n) => [
        `own${n}`,
        { DataType: 'Number', StringValue: `${n}` },
      ]),
    );
    await rig.send('jobs', [
      { body: 'a', attributes: own },
      {
        body: 'b',
        attributes: { trace: { DataType: 'Binary.raw', BinaryValue: Buffer.from([0, 255, 7]) } },
      },
    ]);
    const records = await rig.take(10);
    await rig.consume(records);
    const [a, b] = await deadLetters();
    expect(Object.keys(a?.attributes ?? {})).toHaveLength(10);
    expect(a?.attributes.own3).toMatchObject({ DataType: 'Number', StringValue: '3' });
    expect(b?.attributes.trace?.DataType).toBe('Binary.raw');
    expect([...(b?.attributes.trace?.BinaryValue ?? [])]).toEqual([0, 255, 7]);
    expect(b?.attributes).toMatchObject({
      reason: { StringValue: 'malformed' },
      detail: { StringValue: 'the body is not JSON' },
      originalMessageId: {
        StringValue: records.find(({ body }) => body === 'b')?.messageId,
      },
    });
    expect(Date.parse(b?.attributes.failedAt?.StringValue ?? '')).toBeGreaterThan(0);
  });
});

describe('while the database is out of reach', () => {
  const DOWN = { variables: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none' } };

  it('all messages stay, and the invocation fails so that Lambda polls less often', async () => {
    await rig.send('jobs', jobs(3));
    await expect(rig.consume(await rig.take(10), DOWN)).rejects.toMatchObject({
      name: 'DatabaseUnwell',
    });
    expect(await deadLetters()).toEqual([]);
    expect((await rig.counts('jobs')).hidden).toBe(3);
  });

  it('a message at its last receive is given up with the reason, and no other', async () => {
    await rig.send('jobs', jobs(3));
    const [first, ...others] = await rig.take(10);
    if (first === undefined) throw new TypeError('a message');
    const response = await rig.consume([receivedTimes(first, 3), ...others], DOWN);
    expect(failedOf(response)).toEqual(idsOf(others));
    expect(await deadLetters()).toMatchObject([{ body: first.body, reason: 'DatabaseUnwell' }]);
  });
});

describe('a job that fails for the time being', () => {
  it('stays until its last receive, and then goes with the reason', async () => {
    await rig.legacy.pool.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'no' using errcode = '55000'; end $$;
      create trigger refuse before update on kit for each row when (old.id = 2) execute function refuse()`);
    await rig.send('jobs', jobs(2));
    const records = await rig.take(10);
    const bad = records.filter(({ body }) => body.includes('job-2'));
    expect(failedOf(await rig.consume(records))).toEqual(idsOf(bad));
    expect(await handled()).toEqual(['job-1']);
    expect(await deadLetters()).toEqual([]);
    const last = await rig.consume(bad.map((record) => receivedTimes(record, 3)));
    expect(last).toEqual({ batchItemFailures: [] });
    expect(await deadLetters()).toMatchObject([{ body: bad[0]?.body, reason: 'DatabaseFault' }]);
    expect(await handled()).toEqual(['job-1']);
  });

  it('that has no time left in its invocation is put back untried, and burns no receive', async () => {
    const holder = await rig.legacy.client();
    await holder.query('begin');
    await holder.query('select from kit where id = 1 for update');
    await rig.send('jobs', jobs(3));
    let remaining = 60_000;
    const consumed = rig.consume(await rig.take(10), { remainingMs: () => remaining });
    await until(rig.legacy.db, WAITING);
    const [mark] = await marks();
    expect(mark).toMatchObject({ worker: 'phase5-jobs', id: expect.any(String) });
    remaining = 5_000;
    await holder.query('commit');
    expect(await consumed).toEqual({ batchItemFailures: [] });
    expect(await handled()).toEqual(['job-1']);
    expect(await rig.counts('jobs')).toMatchObject({ delayed: 2 });
    expect(await deadLetters()).toEqual([]);
  });
});

describe('a mark', () => {
  it('that cannot be taken off takes no job back', async () => {
    await rig.legacy.pool.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
      create trigger refuse before delete on kits_service.work_mark execute function refuse()`);
    await rig.send('jobs', jobs(2));
    expect(await rig.consume(await rig.take(10))).toEqual({ batchItemFailures: [] });
    expect(await handled()).toEqual(['job-1', 'job-2']);
    await until(
      rig.legacy.db,
      `(select count(*) from kits_service.work_mark where deadline < now() + interval '31 s') = 1`,
    );
  });

  it('lasts as long as its worker may work, whatever time the worker takes it for', async () => {
    await rig.legacy.pool.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$;
      create trigger refuse before delete on kits_service.work_mark execute function refuse()`);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    try {
      await rig.send('jobs', jobs(1));
      await rig.consume(await rig.take(10));
    } finally {
      vi.useRealTimers();
    }
    const { rows } = await rig.legacy.pool.query(
      `select deadline < now() + interval '31 s' and deadline > now() as sound from kits_service.work_mark`,
    );
    expect(rows).toEqual([{ sound: true }]);
  });

  it('is gone, and nothing is open, when the invocation ends: a process that is frozen then holds nothing', async () => {
    await rig.send('jobs', jobs(2));
    await rig.consume(await rig.take(10));
    expect(await marks()).toEqual([]);
    const { rows } = await rig.legacy.pool.query(
      `select state from pg_stat_activity where datname = current_database() and usename = $1 and state <> 'idle'`,
      [new URL(rig.serviceUrl).username],
    );
    expect(rows).toEqual([]);
  });
});

describe('while the guard is on', () => {
  const ATTRIBUTES = {
    tenant: { DataType: 'String', StringValue: 'a' },
    weight: { DataType: 'Number.int', StringValue: '7' },
    trace: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 0, 255]) },
  };

  it('messages are put back as they were, as new ones', async () => {
    await rig.flags.write({ migrationInProgress: true });
    const [draft] = jobs(1);
    await rig.send('jobs', [{ body: draft?.body, attributes: ATTRIBUTES }]);
    const taken = await rig.take(10);
    expect(await rig.consume(taken)).toEqual({ batchItemFailures: [] });
    expect(await handled()).toEqual([]);
    expect(await rig.counts('jobs')).toMatchObject({ delayed: 1 });
    const inspected = await fetch(`${rig.queues.endpoint}/_fauxqs/queues/jobs`);
    const { messages } = (await inspected.json()) as {
      messages: {
        delayed: { body: string; messageAttributes: object; approximateReceiveCount: number }[];
      };
    };
    expect(messages.delayed).toMatchObject([
      {
        body: taken[0]?.body,
        approximateReceiveCount: 0,
        messageAttributes: {
          tenant: { StringValue: 'a' },
          weight: { DataType: 'Number.int', StringValue: '7' },
          trace: { BinaryValue: Buffer.from([1, 0, 255]).toString('base64') },
        },
      },
    ]);
    expect(await marks()).toEqual([]);
  });

  it('nothing is lost where the queue takes half of them only', async () => {
    await rig.flags.write({ migrationInProgress: true });
    const large = jobs(2).map(({ body }) => ({ body: { ...body, padding: 'x'.repeat(2_000) } }));
    await rig.send('jobs', [...large, ...jobs(8).slice(2)]);
    const taken = await rig.take(10);
    await rig.limit('jobs', 1_024);
    const response = await rig.consume(taken);
    expect(failedOf(response)).toEqual(idsOf(taken.filter(({ body }) => body.includes('xxx'))));
    expect(await rig.counts('jobs')).toMatchObject({ delayed: 6 });
  });

  it('messages that are too long to be sent back together are sent apart', async () => {
    await rig.flags.write({ migrationInProgress: true });
    await rig.send(
      'jobs',
      jobs(10).map(({ body }) => ({ body: { ...body, padding: 'x'.repeat(150_000) } })),
    );
    expect(await rig.consume(await rig.take(10))).toEqual({ batchItemFailures: [] });
    expect(await rig.counts('jobs')).toMatchObject({ delayed: 10 });
  });

  it('messages stay when the queue is out of reach', async () => {
    await rig.flags.write({ migrationInProgress: true });
    await rig.send('jobs', jobs(2));
    const taken = await rig.take(10);
    const response = await rig.consume(taken, { variables: { AWS_ENDPOINT_URL_SQS: CLOSED } });
    expect(failedOf(response)).toEqual(idsOf(taken));
    expect(rig.log).toContainEqual(
      expect.objectContaining({ error: expect.objectContaining({ name: 'QueuesUnreachable' }) }),
    );
  });

  it('which it also is when nobody can read it', async () => {
    await rig.send('jobs', jobs(1));
    rig.aws.failNext('GetParameter', 'AccessDeniedException');
    expect(await rig.consume(await rig.take(10))).toEqual({ batchItemFailures: [] });
    expect(await handled()).toEqual([]);
    expect(await rig.counts('jobs')).toMatchObject({ delayed: 1 });
  });
});
