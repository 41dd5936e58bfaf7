import {
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
} from '@aws-sdk/client-sqs';
import { bindMapping, installTracking } from '@unified-kits/data';
import type { LocalService } from '../../infra/local/service.ts';
import { type SystemOptions, startSystem } from '../../infra/local/system.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { QUEUES } from '../../infra/queues.ts';
import { type LegacyDatabase, legacyDatabase } from './legacy.ts';
import { eventually, type Rig } from './system.ts';

export type ServiceQueue = keyof typeof QUEUE_NAMES;
const QUEUE_NAMES = {
  jobs: QUEUES.jobs.name,
  dead: QUEUES.jobs.deadLetters,
  events: QUEUES.events.name,
};

/** A system with its service: queues, the consumer fed by its mapping, and the relay. */
export interface JobsSystem extends Rig {
  readonly service: LocalService;
  readonly serviceUrl: string;
  /** Sends bodies, as text or as JSON; those of one call in calls of ten. */
  send(bodies: readonly unknown[]): Promise<void>;
  /** Receives what is visible, and hides it for so many seconds. */
  receive(queue: ServiceQueue, hiddenSeconds?: number): Promise<Message[]>;
  counts(queue: ServiceQueue): Promise<{ visible: number; hidden: number; delayed: number }>;
  /** Calls `phase5-queues` as an operator does. */
  queues(event: Readonly<Record<string, unknown>>): Promise<Record<string, unknown>>;
  /** Ids of the jobs that were handled, in order. */
  handled(): Promise<string[]>;
  /** Events of the audit log with one of these actions, in order. */
  events(...actions: readonly string[]): Promise<Record<string, unknown>[]>;
}

export interface JobsSystemOptions
  extends Pick<SystemOptions, 'stateFile' | 'functionTimeoutSeconds'> {
  readonly jobsVisibilitySeconds?: number;
  readonly relaySeconds?: number;
}

export const jobsSystemOn = async (
  legacy: LegacyDatabase,
  {
    stateFile,
    functionTimeoutSeconds,
    jobsVisibilitySeconds,
    relaySeconds,
  }: JobsSystemOptions = {},
): Promise<JobsSystem> => {
  await installTracking(legacy.db);
  const binding = await legacy.db.transaction({}, (session) =>
    bindMapping(session, legacy.mapping),
  );
  const serviceUrl = await writerLogin(legacy.db, binding, legacy.url);
  const log: Record<string, unknown>[] = [];
  const system = await startSystem({
    databaseUrl: legacy.url,
    environment: 'test',
    waitScale: 0.01,
    stateFile,
    functionTimeoutSeconds,
    service: { databaseUrl: serviceUrl, jobsVisibilitySeconds, relaySeconds },
    log: (line) => log.push(JSON.parse(line)),
  });
  const { service } = system;
  if (service === undefined) throw new TypeError('a system with a service');
  const { sqs } = service;
  const urlOf = (queue: ServiceQueue) => service.queues.queueUrl(QUEUE_NAMES[queue]);
  return {
    legacy,
    system,
    service,
    serviceUrl,
    log,
    async send(bodies) {
      for (let from = 0; from < bodies.length; from += 10)
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl: urlOf('jobs'),
            Entries: bodies.slice(from, from + 10).map((body, index) => ({
              Id: String(index),
              MessageBody: typeof body === 'string' ? body : JSON.stringify(body),
            })),
          }),
        );
    },
    async receive(queue, hiddenSeconds = 60) {
      const received: Message[] = [];
      for (;;) {
        const { Messages = [] } = await sqs.send(
          new ReceiveMessageCommand({
            QueueUrl: urlOf(queue),
            MaxNumberOfMessages: 10,
            VisibilityTimeout: hiddenSeconds,
            MessageAttributeNames: ['All'],
            MessageSystemAttributeNames: ['All'],
          }),
        );
        if (Messages.length === 0) return received;
        received.push(...Messages);
      }
    },
    async counts(queue) {
      const { Attributes = {} } = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl: urlOf(queue), AttributeNames: ['All'] }),
      );
      return {
        visible: Number(Attributes.ApproximateNumberOfMessages),
        hidden: Number(Attributes.ApproximateNumberOfMessagesNotVisible),
        delayed: Number(Attributes.ApproximateNumberOfMessagesDelayed),
      };
    },
    async queues(event) {
      return (await system.invoke('phase5-queues', event)) as Record<string, unknown>;
    },
    async handled() {
      const { rows } = await legacy.pool.query(
        'select job_id from kits_service.handled_job order by length(job_id), job_id',
      );
      return rows.map(({ job_id }) => job_id);
    },
    async events(...actions) {
      const { rows } = await legacy.pool.query(
        'select action, actor, detail from migration.event where action = any ($1) order by id',
        [actions],
      );
      return rows;
    },
    close: () => system.stop({ graceMs: 3_000 }),
  };
};

export const jobsSystem = async (
  rows = 20,
  options: JobsSystemOptions = {},
): Promise<JobsSystem> => {
  const legacy = await legacyDatabase(rows);
  const given = await jobsSystemOn(legacy, options);
  return {
    ...given,
    async close() {
      await given.close();
      await legacy.drop();
    },
  };
};

/** Waits until so many jobs were handled. */
export const handledAre = (given: JobsSystem, count: number): Promise<string[]> =>
  eventually(
    () => given.handled(),
    (ids) => ids.length >= count,
  );
