import {
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QUEUES } from '../../infra/queues.ts';
import { type ApiRig, apiRigOf } from '../support/api.ts';
import { eventually } from '../support/system.ts';

const queueOf = ({ system }: ApiRig) => {
  const { service } = system;
  if (service === undefined) throw new TypeError('a rig with a service');
  return service;
};

const send = async (rig: ApiRig, bodies: readonly unknown[]) => {
  const { sqs, queues } = queueOf(rig);
  for (let from = 0; from < bodies.length; from += 10)
    await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl: queues.queueUrl(QUEUES.jobs.name),
        Entries: bodies.slice(from, from + 10).map((body, index) => ({
          Id: String(index),
          MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
        })),
      }),
    );
};

const receiveAll = async (rig: ApiRig, queue: string, count: number): Promise<Message[]> => {
  const { sqs, queues } = queueOf(rig);
  const found: Message[] = [];
  await eventually(
    async () => {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: queues.queueUrl(queue),
          MaxNumberOfMessages: 10,
          MessageAttributeNames: ['All'],
        }),
      );
      found.push(...Messages);
      return found.length;
    },
    (length) => length >= count,
  );
  return found;
};

const job = (jobId: string, references: object, status = 'received') => ({
  jobId,
  type: 'kit.status-changed',
  version: 1,
  occurredAt: '2026-06-01T10:00:00Z',
  data: { status },
  ...references,
});

describe('the consumer of kit-jobs', () => {
  let rig: ApiRig;
  beforeAll(async () => {
    rig = await apiRigOf();
  });
  afterAll(() => rig.close());

  const handled = async () =>
    Number(
      (await rig.legacy.pool.query('select count(*) from kits_service.handled_job')).rows[0].count,
    );

  it('applies jobs of every shape, and gives up garbage with its reason', async () => {
    await send(rig, [
      job('a', { kitId: 1 }),
      job('a', { kitId: '1' }),
      job('b', { kitNumber: 'P4' }, 'at_lab'),
      'garbage',
      { ...job('c', { kitId: 1 }), type: 'kit.lost' },
      { ...job('d', { kitId: 1 }), version: 2 },
      job('e', { kitId: 4711 }),
      job('f', {}),
    ]);
    await eventually(handled, (count) => count === 2);
    const dead = await receiveAll(rig, QUEUES.jobs.deadLetters, 5);
    expect(
      dead.map(({ MessageAttributes }) => MessageAttributes?.reason?.StringValue).sort(),
    ).toEqual(['malformed', 'malformed', 'unknown-kit', 'unknown-type', 'unknown-version']);
    expect(
      (await rig.legacy.pool.query(`select status from kit where id = 1`)).rows[0].status,
    ).toBe('received');
    const [event] = await receiveAll(rig, QUEUES.events.name, 1);
    expect(JSON.parse(event?.Body ?? '')).toMatchObject({
      type: 'kit.status-changed',
      status: 'received',
      sequence: expect.any(String),
    });
  });

  it('is paused without a message being received in vain, and resumed', async () => {
    const invoke = (action: string) =>
      rig.system.invoke('phase5-queues', { action, actor: 'operator' });
    expect(await invoke('pause-workers')).toMatchObject({ done: true, mapping: 'Disabled' });
    const before = await handled();
    await send(rig, [job('g', { kitId: 5 })]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await handled()).toBe(before);
    const { sqs, queues } = queueOf(rig);
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: queues.queueUrl(QUEUES.jobs.name),
        AttributeNames: ['ApproximateNumberOfMessages'],
      }),
    );
    expect(Attributes?.ApproximateNumberOfMessages).toBe('1');
    await invoke('resume-workers');
    await eventually(handled, (count) => count === before + 1);
  });
});
