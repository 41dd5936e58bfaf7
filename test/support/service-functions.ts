import {
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { bindMapping, installTracking } from '@unified-kits/data';
import type { Context, SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { handler as consumer } from '../../functions/phase5-jobs/handler.ts';
import { handler as queuesFunction } from '../../functions/phase5-queues/handler.ts';
import { handler as relay } from '../../functions/phase5-relay/handler.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { localFunctions } from '../../infra/local/aws/functions.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';
import { sqsRecord } from '../../infra/local/queues/sqs-event.ts';
import { type Queues, startQueues } from '../../infra/local/queues/start-queues.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { type LegacyDatabase, legacyDatabase } from './legacy.ts';

export type QueueName = 'jobs' | 'dead' | 'events';

/** A message to be sent: its body, as text or as JSON, and its attributes. */
export interface Draft {
  readonly body: unknown;
  readonly attributes?: Readonly<Record<string, MessageAttributeValue>>;
}

/** What a test changes of an invocation. */
export interface Invocation {
  readonly variables?: NodeJS.ProcessEnv;
  /** In the place of the clock's. */
  readonly remainingMs?: () => number;
}

/** The service's functions without what invokes them: real queues, flags and a database, and the test delivers. */
export interface ServiceFunctions {
  readonly legacy: LegacyDatabase;
  readonly aws: LocalAws;
  readonly queues: Queues;
  readonly sqs: SQSClient;
  readonly flags: FlagStore;
  readonly serviceUrl: string;
  /** The functions' log, parsed. */
  readonly log: Record<string, unknown>[];
  send(queue: QueueName, drafts: readonly Draft[]): Promise<void>;
  /** Takes up to so many messages as Lambda would hand them on; they stay hidden. */
  take(count: number): Promise<SQSRecord[]>;
  /** Receives all that is visible. */
  receive(queue: QueueName): Promise<Message[]>;
  counts(queue: QueueName): Promise<{ visible: number; hidden: number; delayed: number }>;
  /** No message of a queue may be longer: the queue then refuses that entry of a batch alone. */
  limit(queue: QueueName, bytes: number): Promise<void>;
  consume(records: readonly SQSRecord[], invocation?: Invocation): Promise<SQSBatchResponse>;
  relay(invocation?: Invocation): Promise<unknown>;
  /** Calls `phase5-queues` as an operator does. */
  operate(event: object, invocation?: Invocation): Promise<Record<string, unknown>>;
  close(): Promise<void>;
}

const QUEUES = { visibilityTimeoutSeconds: 60 };

export const serviceFunctions = async (
  rows = 20,
  { tracked = true }: { readonly tracked?: boolean } = {},
): Promise<ServiceFunctions> => {
  const legacy = await legacyDatabase(rows);
  if (tracked) await installTracking(legacy.db);
  const binding = await legacy.db.transaction({}, (session) =>
    bindMapping(session, legacy.mapping),
  );
  const serviceUrl = tracked ? await writerLogin(legacy.db, binding, legacy.url) : legacy.url;
  const queues = await startQueues(
    (['jobs', 'dead', 'events'] as const).map((name) => ({ name, ...QUEUES })),
  );
  const aws = await startLocalAws();
  const { region, credentials } = aws;
  const sqs = new SQSClient({
    endpoint: queues.endpoint,
    region,
    credentials,
    useQueueUrlAsEndpoint: false,
  });
  const ssm = new SSMClient({ endpoint: aws.endpoint, region, credentials });
  const flags = new FlagStore(ssm, 'test');
  await flags.ensure();
  const variables = {
    DATABASE_URL: serviceUrl,
    KITS_ENVIRONMENT: 'test',
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_ENDPOINT_URL_SQS: queues.endpoint,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    JOBS_QUEUE_URL: queues.queueUrl('jobs'),
    JOBS_DEAD_LETTER_QUEUE_URL: queues.queueUrl('dead'),
    EVENTS_QUEUE_URL: queues.queueUrl('events'),
    JOBS_MOST_RECEIVES: '3',
  };
  const log: Record<string, unknown>[] = [];

  const invoke = async (
    handler: (event: never, context: Context) => unknown,
    event: unknown,
    { variables: own = {}, remainingMs }: Invocation = {},
  ): Promise<unknown> => {
    const functions = localFunctions(6 * 1024 * 1024);
    functions.register(
      'arn',
      (given, context) =>
        withEnvironment(
          { variables: { ...variables, ...own }, log: (line) => log.push(JSON.parse(line)) },
          () =>
            handler(
              given as never,
              remainingMs === undefined
                ? context
                : { ...context, getRemainingTimeInMillis: remainingMs },
            ),
        ),
      { timeoutSeconds: 30 },
    );
    return JSON.parse(await functions.invoke('arn', JSON.stringify(event)));
  };

  const receiveSome = async (queue: QueueName, most = 10): Promise<Message[]> => {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queues.queueUrl(queue),
        MaxNumberOfMessages: most,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    return Messages;
  };

  return {
    legacy,
    aws,
    queues,
    sqs,
    flags,
    serviceUrl,
    log,
    async send(queue, drafts) {
      for (const { body, attributes } of drafts)
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl: queues.queueUrl(queue),
            Entries: [
              {
                Id: '0',
                MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
                MessageAttributes: attributes,
              },
            ],
          }),
        );
    },
    async take(count) {
      const messages = await receiveSome('jobs', count);
      return messages.map((message) => sqsRecord(message, queues.queueArn('jobs')));
    },
    async receive(queue) {
      const received: Message[] = [];
      for (;;) {
        const some = await receiveSome(queue);
        if (some.length === 0) return received;
        received.push(...some);
      }
    },
    async counts(queue) {
      const { Attributes = {} } = await sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl: queues.queueUrl(queue),
          AttributeNames: ['All'],
        }),
      );
      return {
        visible: Number(Attributes.ApproximateNumberOfMessages),
        hidden: Number(Attributes.ApproximateNumberOfMessagesNotVisible),
        delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed),
      };
    },
    async limit(queue, bytes) {
      await sqs.send(
        new SetQueueAttributesCommand({
          QueueUrl: queues.queueUrl(queue),
          Attributes: { MaximumMessageSize: String(bytes) },
        }),
      );
    },
    async consume(records, invocation) {
      return (await invoke(consumer, { Records: records }, invocation)) as SQSBatchResponse;
    },
    relay: (invocation) => invoke(relay, {}, invocation),
    async operate(event, { variables: own = {}, ...invocation } = {}) {
      return (await invoke(queuesFunction, event, {
        ...invocation,
        variables: { DATABASE_URL: legacy.url, ...own },
      })) as Record<string, unknown>;
    },
    async close() {
      sqs.destroy();
      ssm.destroy();
      await aws.stop();
      await queues.stop();
      await closeDatabaseAt(serviceUrl);
      await closeDatabaseAt(legacy.url);
      await legacy.drop();
    },
  };
};

/** A status change, by any reference. */
export const statusJob = (
  jobId: string,
  references: Readonly<Record<string, unknown>>,
  status = 'received',
  occurredAt = '2026-06-01T10:00:00Z',
) => ({
  jobId,
  type: 'kit.status-changed',
  version: 1,
  occurredAt,
  data: { status },
  ...references,
});
