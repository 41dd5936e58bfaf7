import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  GetEventSourceMappingCommand,
  LambdaClient,
  paginateListEventSourceMappings,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import {
  ChangeMessageVisibilityBatchCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { afterEach, describe, expect, it } from 'vitest';
import type { EventSourceMappingDeclaration } from '../../infra/local/aws/event-source-mappings.ts';
import type { FunctionOptions } from '../../infra/local/aws/functions.ts';
import { type LocalAws, type LocalAwsOptions, startLocalAws } from '../../infra/local/aws/start.ts';
import {
  type QueueDeclaration,
  type Queues,
  startQueues,
} from '../../infra/local/queues/start-queues.ts';

const closing: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const JOBS: QueueDeclaration = { name: 'jobs', visibilityTimeoutSeconds: 30 };

async function queuesOf(declarations: readonly QueueDeclaration[]) {
  const queues = await startQueues(declarations);
  const sqs = new SQSClient({
    ...queues,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  closing.push(queues.stop, () => sqs.destroy());
  return { queues, sqs };
}

type Rig = {
  readonly queues: Queues;
  readonly sqs: SQSClient;
  readonly aws: LocalAws;
  readonly lambda: LambdaClient;
  /** Names of the errors the mappings told of. */
  readonly errors: string[];
};

async function awsOn(
  { queues, sqs }: Pick<Rig, 'queues' | 'sqs'>,
  options: LocalAwsOptions = {},
): Promise<Rig> {
  const errors: string[] = [];
  const aws = await startLocalAws({
    queues,
    onMappingError: (error) => errors.push(error.message),
    ...options,
  });
  const lambda = new LambdaClient(aws);
  closing.push(
    () => aws.stop({ graceMs: 3_000 }),
    () => lambda.destroy(),
  );
  return { queues, sqs, aws, lambda, errors };
}

async function rigOf(declarations: readonly QueueDeclaration[] = [JOBS]): Promise<Rig> {
  return awsOn(await queuesOf(declarations));
}

/** What a handler of these tests is given: the bodies too, for short. */
type Handler = (bodies: string[], event: SQSEvent) => unknown;

/** Lets queue `jobs`, or another, feed a handler. */
async function map(
  { aws, queues }: Rig,
  handler: Handler,
  more: Partial<EventSourceMappingDeclaration> & FunctionOptions & { queue?: string } = {},
): Promise<string> {
  const { timeoutSeconds = 1, queue = 'jobs', ...declaration } = more;
  const functionArn = aws.functionArn(`consume-${queue}`);
  const consume = (event: unknown) => {
    const given = event as SQSEvent;
    return handler(bodiesOf(given), given);
  };
  aws.registerFunction(functionArn, consume, { timeoutSeconds });
  return aws.registerEventSourceMapping({
    queueArn: queues.queueArn(queue),
    functionArn,
    functionResponseTypes: ['ReportBatchItemFailures'],
    ...declaration,
  });
}

const bodiesOf = (event: SQSEvent) => event.Records.map(({ body }) => body);
/** A handler that keeps the bodies it is given. */
const into =
  (kept: string[]): Handler =>
  (bodies) => {
    kept.push(...bodies);
  };
/** A handler that keeps the batches it is given. */
const batchesInto =
  (kept: string[][]): Handler =>
  (bodies) => {
    kept.push(bodies);
  };
const failing = (records: readonly SQSRecord[]) => ({
  batchItemFailures: records.map(({ messageId }) => ({ itemIdentifier: messageId })),
});

async function send({ sqs, queues }: Pick<Rig, 'sqs' | 'queues'>, bodies: string[], name = 'jobs') {
  for (let at = 0; at < bodies.length; at += 10) {
    const Entries = bodies
      .slice(at, at + 10)
      .map((MessageBody, index) => ({ Id: String(index), MessageBody }));
    const QueueUrl = queues.queueUrl(name);
    const { Failed = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
    expect(Failed).toEqual([]);
  }
}

/** [visible, in flight, delayed] */
async function counts({ sqs, queues }: Pick<Rig, 'sqs' | 'queues'>, name = 'jobs') {
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: queues.queueUrl(name),
      AttributeNames: [
        'ApproximateNumberOfMessages',
        'ApproximateNumberOfMessagesNotVisible',
        'ApproximateNumberOfMessagesDelayed',
      ],
    }),
  );
  return [
    Number(Attributes.ApproximateNumberOfMessages),
    Number(Attributes.ApproximateNumberOfMessagesNotVisible),
    Number(Attributes.ApproximateNumberOfMessagesDelayed),
  ];
}

async function receive(
  { sqs, queues }: Pick<Rig, 'sqs' | 'queues'>,
  { name = 'jobs', wait = 0 } = {},
) {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queues.queueUrl(name),
      MaxNumberOfMessages: 10,
      WaitTimeSeconds: wait,
      MessageSystemAttributeNames: ['All'],
    }),
  );
  return Messages;
}

const stateOf = async ({ lambda }: Rig, UUID: string) =>
  (await lambda.send(new GetEventSourceMappingCommand({ UUID }))).State;
const enable = ({ lambda }: Rig, UUID: string, Enabled: boolean) =>
  lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled }));

async function until<Value>(read: () => Value | Promise<Value>, wanted: Value): Promise<void> {
  await expect.poll(read, { timeout: 20_000, interval: 20 }).toEqual(wanted);
}

/** A handler's pause, which the test ends. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

const QUICK: readonly QueueDeclaration[] = [
  {
    name: 'jobs',
    visibilityTimeoutSeconds: 1,
    deadLetter: { queue: 'jobs-dlq', maxReceiveCount: 2 },
  },
  { name: 'jobs-dlq', visibilityTimeoutSeconds: 1 },
];

describe('the local queues', () => {
  it('move a message that was received often enough to the dead-letter queue', async () => {
    const rig = await queuesOf(QUICK);
    await send(rig, ['a']);
    expect(await receive(rig)).toHaveLength(1);
    expect(await receive(rig, { wait: 3 })).toMatchObject([
      { Body: 'a', Attributes: { ApproximateReceiveCount: '2' } },
    ]);
    expect(await receive(rig, { wait: 2 })).toEqual([]);
    expect(await counts(rig)).toEqual([0, 0, 0]);
    expect(await receive(rig, { name: 'jobs-dlq' })).toMatchObject([{ Body: 'a' }]);
  });

  it('count a message as visible again although nobody receives', async () => {
    const rig = await queuesOf(QUICK);
    const QueueUrl = rig.queues.queueUrl('jobs');
    await send(rig, ['a', 'b']);
    await rig.sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'later', DelaySeconds: 1 }));
    expect(await counts(rig)).toEqual([2, 0, 1]);
    expect(await receive(rig)).toHaveLength(2);
    expect(await counts(rig)).toEqual([0, 2, 1]);
    await until(() => counts(rig), [3, 0, 0]);
    expect(await receive(rig)).toHaveLength(3);
    expect(await counts(rig)).toEqual([0, 3, 0]);
  });

  it('give a message back at once when its visibility timeout is set to 0', async () => {
    const rig = await queuesOf([JOBS]);
    await send(rig, ['a', 'b']);
    const [first] = await receive(rig);
    await rig.sqs.send(
      new ChangeMessageVisibilityBatchCommand({
        QueueUrl: rig.queues.queueUrl('jobs'),
        Entries: [{ Id: '0', ReceiptHandle: first?.ReceiptHandle, VisibilityTimeout: 0 }],
      }),
    );
    expect(await counts(rig)).toEqual([1, 1, 0]);
    expect(await receive(rig)).toMatchObject([
      { Body: first?.Body, Attributes: { ApproximateReceiveCount: '2' } },
    ]);
  });

  it('answer a long poll as soon as there is a message', async () => {
    const rig = await queuesOf([JOBS]);
    const poll = receive(rig, { wait: 20 });
    await send(rig, ['a']);
    expect(await poll).toMatchObject([{ Body: 'a' }]);
  });

  it('refuse a message above 1 MiB', async () => {
    const { queues, sqs } = await queuesOf([JOBS]);
    const message = (bytes: number) =>
      new SendMessageCommand({
        QueueUrl: queues.queueUrl('jobs'),
        MessageBody: 'x'.repeat(bytes),
      });
    await sqs.send(message(1_048_576));
    await expect(sqs.send(message(1_048_577))).rejects.toThrow(/shorter than 1048576 bytes/);
  });

  it('name everything that is wrong with their declarations, and a queue there is not', async () => {
    await expect(
      startQueues([
        { name: 'jobs.fifo', visibilityTimeoutSeconds: 30 },
        { ...JOBS, deadLetter: { queue: 'nowhere', maxReceiveCount: 0 } },
        { ...JOBS, visibilityTimeoutSeconds: 43_201 },
      ]),
    ).rejects.toMatchObject({
      name: 'QueueDeclarationError',
      message: expect.stringMatching(
        /jobs\.fifo.*"nowhere".*maxReceiveCount.*twice.*visibilityTimeoutSeconds/s,
      ),
    });
    const { queues } = await queuesOf([JOBS]);
    expect(() => queues.queueUrl('job')).toThrow(/"job".*jobs/);
  });

  it('refuse to be called by another host name', async () => {
    const { queues } = await queuesOf([JOBS]);
    const { port } = new URL(queues.endpoint);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { host: 'evil.example' };
      const call = request({ port, host: '127.0.0.1', path: '/_fauxqs/queues', headers }, (got) => {
        got.resume();
        resolve(got.statusCode);
      });
      call.once('error', reject);
      call.end();
    });
    expect(status).toBe(403);
  });
});

describe('an event source mapping', () => {
  it('gives the function the event that Lambda gives, and deletes what it was given', async () => {
    const rig = await rigOf();
    const events: SQSEvent[] = [];
    await map(rig, (_bodies, event) => {
      events.push(event);
    });
    const before = Date.now();
    await rig.sqs.send(
      new SendMessageCommand({
        QueueUrl: rig.queues.queueUrl('jobs'),
        MessageBody: '{"jobId":"1"}',
        MessageAttributes: {
          type: { DataType: 'String', StringValue: 'kit.status-changed' },
          trace: { DataType: 'Binary', BinaryValue: new Uint8Array([1, 2]) },
        },
      }),
    );
    await until(() => events.length, 1);
    const lists = { stringListValues: [], binaryListValues: [] };
    expect(events[0]).toEqual({
      Records: [
        {
          messageId: expect.stringMatching(/^[0-9a-f-]{36}$/),
          receiptHandle: expect.stringMatching(/./),
          body: '{"jobId":"1"}',
          attributes: {
            ApproximateReceiveCount: '1',
            SentTimestamp: expect.stringMatching(/^\d{13}$/),
            SenderId: expect.stringMatching(/./),
            ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
          },
          messageAttributes: {
            type: { stringValue: 'kit.status-changed', ...lists, dataType: 'String' },
            trace: { binaryValue: 'AQI=', ...lists, dataType: 'Binary' },
          },
          md5OfMessageAttributes: expect.stringMatching(/^[0-9a-f]{32}$/),
          md5OfBody: '587d93647177c70fab1c0df663d53575',
          eventSource: 'aws:sqs',
          eventSourceARN: 'arn:aws:sqs:eu-west-1:000000000000:jobs',
          awsRegion: 'eu-west-1',
        },
      ],
    });
    const sent = Number(events[0]?.Records[0]?.attributes.SentTimestamp);
    expect(sent).toBeGreaterThanOrEqual(before - 1000);
    await until(() => counts(rig), [0, 0, 0]);
    expect(rig.errors).toEqual([]);
  });

  it('leaves the messages that failed, and only those, to be delivered again', async () => {
    const rig = await rigOf([{ ...JOBS, visibilityTimeoutSeconds: 1 }]);
    const given: string[] = [];
    await map(rig, (_bodies, { Records }) => {
      given.push(...Records.map((one) => one.body + one.attributes.ApproximateReceiveCount));
      return failing(
        Records.filter(
          ({ body, attributes }) => body === 'b' && attributes.ApproximateReceiveCount === '1',
        ),
      );
    });
    await send(rig, ['a', 'b', 'c']);
    await until(() => given.toSorted(), ['a1', 'b1', 'b2', 'c1']);
    await until(() => counts(rig), [0, 0, 0]);
  });

  it('lets a message that always fails end in the dead-letter queue', async () => {
    const rig = await rigOf(QUICK);
    const given: string[] = [];
    await map(rig, (bodies, { Records }) => {
      given.push(...bodies);
      return failing(Records.filter(({ body }) => body === 'poison'));
    });
    await send(rig, ['a', 'poison', 'b']);
    await until(() => counts(rig, 'jobs-dlq'), [1, 0, 0]);
    expect(given.toSorted()).toEqual(['a', 'b', 'poison', 'poison']);
    expect(await receive(rig, { name: 'jobs-dlq' })).toMatchObject([{ Body: 'poison' }]);
    expect(await counts(rig)).toEqual([0, 0, 0]);
  });

  it('deletes nothing of a batch whose function throws, and says so without its content', async () => {
    const rig = await rigOf();
    await map(rig, () => Promise.reject(new RangeError('secret')));
    await send(rig, ['a', 'b']);
    await until(() => counts(rig), [0, 2, 0]);
    await until(
      () => rig.errors.at(-1),
      'arn:aws:sqs:eu-west-1:000000000000:jobs: an invocation failed, its messages stay (RangeError)',
    );
    expect(await counts(rig)).toEqual([0, 2, 0]);
  });

  it('deletes nothing of a batch whose function ran into its timeout', async () => {
    const rig = await rigOf();
    const { passed, open } = gate();
    await map(rig, () => passed);
    await send(rig, ['a']);
    await until(() => rig.errors.length, 1);
    expect(rig.errors[0]).toMatch(/Sandbox\.Timedout/);
    open();
    expect(await counts(rig)).toEqual([0, 1, 0]);
  });

  it('takes a malformed answer for a failure of the whole batch', async () => {
    const rig = await rigOf();
    const answers: Record<string, (id: string | undefined) => unknown> = {
      'no object': () => 'done',
      'a list': (id) => [{ itemIdentifier: id }],
      'no list of failures': () => ({ batchItemFailures: 'none' }),
      'an id alone': (id) => ({ batchItemFailures: [id] }),
      'another key': (id) => ({ batchItemFailures: [{ messageId: id }] }),
      'an empty id': () => ({ batchItemFailures: [{ itemIdentifier: '' }] }),
      'no id': () => ({ batchItemFailures: [{ itemIdentifier: null }] }),
      'a foreign id': () => ({ batchItemFailures: [{ itemIdentifier: 'x' }] }),
    };
    const answer: Handler = ([body = ''], { Records }) => answers[body]?.(Records[0]?.messageId);
    await map(rig, answer, { batchSize: 1 });
    const cases = Object.keys(answers);
    await send(rig, cases);
    await until(() => rig.errors.length, cases.length);
    expect(rig.errors.filter((message) => !/malformed/.test(message))).toEqual([]);
    expect(await counts(rig)).toEqual([0, cases.length, 0]);
  });

  it('takes an answer without failures for the success of the whole batch', async () => {
    const rig = await rigOf();
    const answers: Record<string, unknown> = {
      nothing: undefined,
      null: null,
      'an empty object': {},
      'no list': { batchItemFailures: null },
      'an empty list': { batchItemFailures: [] },
    };
    const given: string[] = [];
    const answer: Handler = ([body = '']) => {
      given.push(body);
      return answers[body];
    };
    await map(rig, answer, { batchSize: 1 });
    await send(rig, Object.keys(answers));
    await until(() => given.toSorted(), Object.keys(answers).toSorted());
    await until(() => counts(rig), [0, 0, 0]);
    expect(rig.errors).toEqual([]);
  });

  it('does not look at the answer without ReportBatchItemFailures', async () => {
    const rig = await rigOf();
    const given: string[] = [];
    const report: Handler = (bodies, { Records }) => {
      given.push(...bodies);
      return failing(Records);
    };
    await map(rig, report, { functionResponseTypes: [] });
    await send(rig, ['a']);
    await until(() => given, ['a']);
    await until(() => counts(rig), [0, 0, 0]);
  });

  it('gathers messages for as long as its window is open, up to its batch size', async () => {
    const rig = await rigOf();
    const batches: string[][] = [];
    await map(rig, batchesInto(batches), {
      batchSize: 12,
      maximumBatchingWindowSeconds: 300,
    });
    const bodies = Array.from({ length: 12 }, (_, at) => String(at));
    await send(rig, bodies.slice(0, 5));
    await until(() => counts(rig), [0, 5, 0]);
    expect(batches).toEqual([]);
    await send(rig, bodies.slice(5));
    await until(() => batches, [bodies]);
  });

  it('invokes with what there is when its window closes', async () => {
    const rig = await rigOf();
    const batches: string[][] = [];
    await map(rig, batchesInto(batches), {
      maximumBatchingWindowSeconds: 1,
    });
    await send(rig, ['a', 'b']);
    await until(() => batches, [['a', 'b']]);
  });

  it('runs no more invocations at a time than its maximum concurrency', async () => {
    const rig = await rigOf();
    const { passed, open } = gate();
    let running = 0;
    let most = 0;
    const slow: Handler = async () => {
      running += 1;
      most = Math.max(most, running);
      await passed;
      running -= 1;
    };
    await map(rig, slow, { batchSize: 1, maximumConcurrency: 2, timeoutSeconds: 30 });
    await send(rig, ['a', 'b', 'c', 'd', 'e']);
    await until(() => running, 2);
    await until(() => counts(rig), [3, 2, 0]);
    open();
    await until(() => counts(rig), [0, 0, 0]);
    expect(most).toBe(2);
  });

  it('splits a batch that is too large for one invocation', async () => {
    const rig = await rigOf();
    const batches: string[][] = [];
    const uuid = await map(rig, batchesInto(batches), { enabled: false });
    for (let at = 0; at < 8; at += 1) await send(rig, ['x'.repeat(1_000_000)]);
    await until(() => stateOf(rig, uuid), 'Disabled');
    await enable(rig, uuid, true);
    await until(() => batches.map(({ length }) => length).toSorted(), [2, 6]);
    await until(() => counts(rig), [0, 0, 0]);
  });

  it('feeds its own function, whatever another mapping does', async () => {
    const rig = await rigOf([JOBS, { name: 'events', visibilityTimeoutSeconds: 30 }]);
    const jobs: string[] = [];
    const events: string[] = [];
    const paused = await map(rig, into(jobs));
    await map(rig, into(events), { queue: 'events' });
    await until(() => stateOf(rig, paused), 'Enabled');
    await enable(rig, paused, false);
    await until(() => stateOf(rig, paused), 'Disabled');
    await send(rig, ['job']);
    await send(rig, ['event'], 'events');
    await until(() => events, ['event']);
    await until(() => counts(rig, 'events'), [0, 0, 0]);
    expect(jobs).toEqual([]);
    expect(await counts(rig)).toEqual([1, 0, 0]);
  });

  it('tells of a poll that failed and goes on', async () => {
    const rig = await rigOf();
    const given: string[] = [];
    await map(rig, into(given));
    const { port } = new URL(rig.queues.endpoint);
    await rig.queues.stop();
    await until(() => /a poll failed/.test(rig.errors[0] ?? ''), true);
    const again = await startQueues([JOBS], { port: Number(port) });
    closing.push(again.stop);
    await send(rig, ['a']);
    await until(() => given, ['a']);
  });
});

describe('pausing and resuming a consumer', () => {
  it('is Disabling until the invocation under way has ended, then Disabled', async () => {
    const rig = await rigOf();
    const { passed, open } = gate();
    const begun: string[] = [];
    const slow: Handler = async (bodies) => {
      begun.push(...bodies);
      await passed;
    };
    const uuid = await map(rig, slow, { batchSize: 1, timeoutSeconds: 30 });
    await send(rig, ['a']);
    await until(() => begun, ['a']);

    const answer = await enable(rig, uuid, false);
    expect([answer.State, answer.UUID]).toEqual(['Disabling', uuid]);
    await send(rig, ['b']);
    // Longer than a poll: what is waited for is the function.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(await stateOf(rig, uuid)).toBe('Disabling');
    await expect(enable(rig, uuid, true)).rejects.toMatchObject({ name: 'ResourceInUseException' });

    open();
    await until(() => stateOf(rig, uuid), 'Disabled');
    expect(begun).toEqual(['a']);
    expect(await counts(rig)).toEqual([1, 0, 0]);
  });

  it('delivers nothing while it is Disabled and everything after it was enabled', async () => {
    const rig = await rigOf();
    const given: string[] = [];
    const uuid = await map(rig, into(given));
    await until(() => stateOf(rig, uuid), 'Enabled');
    await enable(rig, uuid, false);
    await until(() => stateOf(rig, uuid), 'Disabled');
    await send(rig, ['a', 'b']);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(given).toEqual([]);
    expect(await counts(rig)).toEqual([2, 0, 0]);

    expect((await enable(rig, uuid, true)).State).toBe('Enabling');
    await until(() => stateOf(rig, uuid), 'Enabled');
    await until(() => given.toSorted(), ['a', 'b']);
    await until(() => counts(rig), [0, 0, 0]);
  });

  it('makes messages that the function was not given yet visible again, received once more', async () => {
    const rig = await rigOf();
    const given: string[] = [];
    const uuid = await map(rig, into(given), {
      maximumBatchingWindowSeconds: 300,
    });
    await send(rig, ['a', 'b']);
    await until(() => counts(rig), [0, 2, 0]);
    await enable(rig, uuid, false);
    await until(() => stateOf(rig, uuid), 'Disabled');
    expect(await counts(rig)).toEqual([2, 0, 0]);
    expect(given).toEqual([]);
    expect((await receive(rig)).map((one) => one.Attributes?.ApproximateReceiveCount)).toEqual([
      '2',
      '2',
    ]);
  });

  it('changes the batch size', async () => {
    const rig = await rigOf();
    const batches: string[][] = [];
    const uuid = await map(rig, batchesInto(batches), { enabled: false });
    await until(() => stateOf(rig, uuid), 'Disabled');
    const set = (BatchSize: number) =>
      rig.lambda.send(new UpdateEventSourceMappingCommand({ UUID: uuid, BatchSize }));
    expect(await set(2)).toMatchObject({ State: 'Updating', BatchSize: 2 });
    await until(() => stateOf(rig, uuid), 'Disabled');
    await expect(set(0)).rejects.toMatchObject({ name: 'ValidationException' });
    await expect(set(11)).rejects.toMatchObject({ name: 'InvalidParameterValueException' });
    await send(rig, ['a', 'b', 'c']);
    await enable(rig, uuid, true);
    await until(() => batches.map(({ length }) => length).toSorted(), [1, 2]);
  });

  it('stays paused when the process is started again, even after a kill', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unified-kits-test-'));
    closing.push(() => rm(folder, { recursive: true, force: true }));
    const stateFile = join(folder, 'state.json');
    // As it was before there were mappings.
    await writeFile(stateFile, '{"format":1,"parameters":{}}');
    const queues = await queuesOf([JOBS]);
    const given: string[] = [];
    const handler = into(given);

    const first = await awsOn(queues, { stateFile });
    const uuid = await map(first, handler);
    await until(() => stateOf(first, uuid), 'Enabled');
    await enable(first, uuid, false);
    // No stop, and not even Disabled: what was answered holds.
    const second = await awsOn(queues, { stateFile });
    expect(await map(second, handler)).toBe(uuid);
    await until(() => stateOf(second, uuid), 'Disabled');
    await until(() => stateOf(first, uuid), 'Disabled');
    await send(second, ['a']);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(given).toEqual([]);

    await enable(second, uuid, true);
    await until(() => given, ['a']);
    const third = await awsOn(queues, { stateFile });
    await map(third, handler, { enabled: false });
    await until(() => stateOf(third, uuid), 'Enabled');
  });

  it('leaves a mapping as it was when the change cannot be kept', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'unified-kits-test-'));
    closing.push(() => rm(folder, { recursive: true, force: true }));
    const rig = await awsOn(await queuesOf([JOBS]), {
      stateFile: join(folder, 'in', 'state.json'),
    });
    const given: string[] = [];
    const uuid = await map(rig, into(given));
    await until(() => stateOf(rig, uuid), 'Enabled');
    // A file in the place of the folder: nothing can be written any more.
    await writeFile(join(folder, 'in'), '');
    await expect(enable(rig, uuid, false)).rejects.toMatchObject({ name: 'InternalServerError' });
    expect(await stateOf(rig, uuid)).toBe('Enabled');
    await send(rig, ['a']);
    await until(() => given, ['a']);
  });
});

describe("Lambda's API for event source mappings", () => {
  it('describes a mapping and lists those of a function or a queue', async () => {
    const rig = await rigOf([JOBS, { name: 'events', visibilityTimeoutSeconds: 30 }]);
    const jobs = await map(rig, () => undefined, { maximumConcurrency: 4 });
    const events = await map(rig, () => undefined, { queue: 'events', functionResponseTypes: [] });
    const { $metadata, LastModified, ...described } = await rig.lambda.send(
      new GetEventSourceMappingCommand({ UUID: jobs }),
    );
    expect(described).toEqual({
      UUID: jobs,
      EventSourceMappingArn: `arn:aws:lambda:eu-west-1:000000000000:event-source-mapping:${jobs}`,
      EventSourceArn: 'arn:aws:sqs:eu-west-1:000000000000:jobs',
      FunctionArn: 'arn:aws:lambda:eu-west-1:000000000000:function:consume-jobs',
      BatchSize: 10,
      MaximumBatchingWindowInSeconds: 0,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 4 },
      State: expect.stringMatching(/^(Creating|Enabled)$/),
      StateTransitionReason: 'USER_INITIATED',
    });
    expect(Math.abs(Date.now() - Number(LastModified))).toBeLessThan(5_000);

    const list = async (filter: { FunctionName?: string; EventSourceArn?: string }) => {
      const found: unknown[] = [];
      const pages = paginateListEventSourceMappings({ client: rig.lambda, pageSize: 1 }, filter);
      for await (const page of pages) {
        found.push(...(page.EventSourceMappings ?? []).map(({ UUID }) => UUID));
      }
      return found;
    };
    expect(await list({})).toEqual([jobs, events].sort());
    expect(await list({ FunctionName: 'consume-jobs' })).toEqual([jobs]);
    expect(await list({ FunctionName: '000000000000:function:consume-jobs' })).toEqual([jobs]);
    expect(await list({ FunctionName: rig.aws.functionArn('consume-events') })).toEqual([events]);
    expect(await list({ EventSourceArn: rig.queues.queueArn('events') })).toEqual([events]);
    expect(await list({ EventSourceArn: `${rig.queues.queueArn('events')}x` })).toEqual([]);
    await expect(list({ FunctionName: 'consume-job' })).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
  });

  it('says what does not exist, and fails as told', async () => {
    const rig = await rigOf();
    const UUID = 'a1b2c3d4-5678-90ab-cdef-11111example';
    await expect(stateOf(rig, UUID)).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
      message: 'The resource you requested does not exist.',
    });
    await expect(enable(rig, UUID, true)).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    const uuid = await map(rig, () => undefined);
    rig.aws.failNext('GetEventSourceMapping', 'AccessDeniedException');
    await expect(stateOf(rig, uuid)).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(await stateOf(rig, uuid)).toMatch(/Creating|Enabled/);
  });

  it('refuses a mapping that AWS would refuse', async () => {
    const rig = await rigOf();
    const { aws, queues } = rig;
    const refused = async (
      what: RegExp,
      more: Partial<EventSourceMappingDeclaration> & FunctionOptions,
    ) =>
      expect(map(rig, () => undefined, more)).rejects.toMatchObject({
        name: 'InvalidParameterValueException',
        message: expect.stringMatching(what),
      });
    await refused(/visibility timeout: 30 seconds is less than Function timeout: 31 seconds/, {
      timeoutSeconds: 31,
    });
    await refused(/batch window/, { batchSize: 11 });
    await refused(/batch size/, { batchSize: 0 });
    await refused(/batching window/, { maximumBatchingWindowSeconds: 301 });
    await refused(/maximum concurrency/, { maximumConcurrency: 1 });
    await refused(/does not exist/, { functionArn: aws.functionArn('nobody') });
    await refused(/does not exist/, { queueArn: queues.queueArn('jobs').replace('west', 'east') });
    await map(rig, () => undefined);
    await expect(map(rig, () => undefined)).rejects.toMatchObject({
      name: 'ResourceConflictException',
    });
    const alone = await startLocalAws();
    closing.push(() => alone.stop());
    await expect(map({ ...rig, aws: alone }, () => undefined)).rejects.toThrow(/without queues/);
  });
});

describe('stopping in the middle of the work', () => {
  it('loses no message and does none twice', async () => {
    const rig = await rigOf();
    const done: string[] = [];
    const slow: Handler = async (bodies) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      done.push(...bodies);
    };
    await map(rig, slow, { batchSize: 3 });
    const bodies = Array.from({ length: 200 }, (_, at) => String(at));
    await send(rig, bodies);
    await expect.poll(() => done.length, { interval: 5 }).toBeGreaterThan(10);
    await rig.aws.stop();
    const [visible = 0, hidden] = await counts(rig);
    expect(done.length).toBeLessThan(bodies.length);
    expect([visible + done.length, hidden]).toEqual([bodies.length, 0]);

    const again = await awsOn(rig);
    await map(again, slow);
    await until(() => counts(again), [0, 0, 0]);
    await until(() => done.toSorted(), bodies.toSorted());
  });

  it('does not wait longer than it was told for a function that never ends', async () => {
    const rig = await rigOf();
    const begun: string[] = [];
    const endless: Handler = (bodies) => {
      begun.push(...bodies);
      return new Promise(() => undefined);
    };
    await map(rig, endless, { timeoutSeconds: 30 });
    await send(rig, ['a']);
    await until(() => begun, ['a']);
    await rig.aws.stop({ graceMs: 100 });
    expect(await counts(rig)).toEqual([0, 1, 0]);
  });

  it('ends on an idle queue by itself', async () => {
    const rig = await rigOf();
    const uuid = await map(rig, () => undefined);
    await until(() => stateOf(rig, uuid), 'Enabled');
    await rig.aws.stop();
    await send(rig, ['a']);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(await counts(rig)).toEqual([1, 0, 0]);
    expect(rig.errors).toEqual([]);
  });
});
