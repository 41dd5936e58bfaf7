import {
  DeleteMessageBatchCommand,
  type Message,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import {
  bindMapping,
  type Database,
  installTracking,
  type KitsService,
  kitsService,
  openDatabase,
} from '@unified-kits/data';
import { KIT_STATUSES, type KitStatus, type Source, UnifiedKitsError } from '@unified-kits/domain';
import type { SQSBatchResponse, SQSRecord } from 'aws-lambda';
import { z } from 'zod';
import { handler as consumer } from '../../functions/phase5-jobs/handler.ts';
import { handler as relay } from '../../functions/phase5-relay/handler.ts';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { withEnvironment } from '../../functions/runtime/environment.ts';
import { FlagStore } from '../../functions/runtime/flag-store.ts';
import { localFunctions } from '../../infra/local/aws/functions.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';
import { type Queues, startQueues } from '../../infra/local/queues/start-queues.ts';
import { writerLogin } from '../../infra/local/writers/login.ts';
import { JOBS_CONSUMER } from '../../infra/queues.ts';
import type { KnownKit } from './job-plans.ts';
import { type LegacyDatabase, legacyDatabase } from './legacy.ts';

/** A database that migrates, and one that never does. */
export const SIDES = ['migrating', 'steady'] as const;
export type SideName = (typeof SIDES)[number];

/** Flags and queues for both sides; the queues are emptied between runs. */
export interface JobsRig {
  readonly aws: LocalAws;
  readonly queues: Queues;
  readonly sqs: SQSClient;
  readonly ssm: SSMClient;
  close(): Promise<void>;
}

export const jobsRig = async (): Promise<JobsRig> => {
  const queues = await startQueues(
    SIDES.flatMap((side) =>
      ['jobs', 'dead', 'events'].map((queue) => ({
        name: `${queue}-${side}`,
        visibilityTimeoutSeconds: 30,
      })),
    ),
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
  return {
    aws,
    queues,
    sqs,
    ssm,
    async close() {
      sqs.destroy();
      ssm.destroy();
      await aws.stop();
      await queues.stop();
    },
  };
};

/** What became of the messages of a delivery, by their ids. */
export interface Delivered {
  /** Those that stay on the queue. */
  readonly failed: ReadonlySet<string>;
  /** Those in the dead-letter queue, with the reason that went with them. */
  readonly dead: readonly { readonly messageId: string; readonly reason: string }[];
  /** Bodies of the messages that were put back as new ones. */
  readonly putBack: readonly string[];
}

/** An event of the outbox, or of the queue, with its kit by number and without ids and times of its own. */
export type SeenEvent = Readonly<Record<string, unknown>>;

const waiting = z.object({
  messages: z.object({
    ready: z.array(z.object({ body: z.string() })),
    delayed: z.array(z.object({ body: z.string() })),
  }),
});

let runs = 0;

/** One of the two databases, with the consumer, the relay and the service on it. */
export class Side {
  readonly name: SideName;
  readonly legacy: LegacyDatabase;
  readonly service: KitsService;
  readonly flags: FlagStore;
  /** What producers know of the kits here. */
  readonly kits: KnownKit[] = [];
  /** Events that arrived in the queue, in that order. */
  readonly arrived: Record<string, unknown>[] = [];
  readonly #rig: JobsRig;
  readonly #functions = localFunctions();
  readonly #serviceUrl: string;
  readonly #serviceDb: Database;

  private constructor(name: SideName, rig: JobsRig, legacy: LegacyDatabase, serviceUrl: string) {
    this.name = name;
    this.#rig = rig;
    this.legacy = legacy;
    this.#serviceUrl = serviceUrl;
    this.#serviceDb = openDatabase(serviceUrl, 2);
    const { aws, queues } = rig;
    const environment = `${name}-${runs}`;
    this.flags = new FlagStore(rig.ssm, environment);
    this.service = kitsService({
      db: this.#serviceDb,
      mapping: legacy.mapping,
      flags: this.flags,
      observer: { redirected: () => {}, staleReadAvoided: () => {} },
    });
    const variables = {
      DATABASE_URL: serviceUrl,
      KITS_ENVIRONMENT: environment,
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_ENDPOINT_URL_SQS: queues.endpoint,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
      JOBS_QUEUE_URL: queues.queueUrl(`jobs-${name}`),
      JOBS_DEAD_LETTER_QUEUE_URL: queues.queueUrl(`dead-${name}`),
      EVENTS_QUEUE_URL: queues.queueUrl(`events-${name}`),
      JOBS_MOST_RECEIVES: String(JOBS_CONSUMER.mostReceives),
    };
    const scope = { variables, log: () => {} };
    const { timeoutSeconds } = JOBS_CONSUMER;
    this.#functions.register(
      'consumer',
      (event, context) =>
        withEnvironment(scope, () => consumer(event as Parameters<typeof consumer>[0], context)),
      { timeoutSeconds },
    );
    this.#functions.register(
      'relay',
      (event, context) => withEnvironment(scope, () => relay(event, context)),
      { timeoutSeconds },
    );
  }

  /** @param rows kits in each legacy table; producers know them all, by ids taken before any migration */
  static async open(name: SideName, rig: JobsRig, rows: number): Promise<Side> {
    runs += 1;
    const legacy = await legacyDatabase(rows);
    await installTracking(legacy.db);
    const binding = await legacy.db.transaction({}, (session) =>
      bindMapping(session, legacy.mapping),
    );
    const side = new Side(name, rig, legacy, await writerLogin(legacy.db, binding, legacy.url));
    await side.flags.ensure();
    const { rows: seeded } = await legacy.pool.query(`
      select 'client' as "ownerType", user_id::text as owner, 'kit' as source, id::text as "legacyId" from kit
      union all
      select 'practitioner', practitioner_id::text, 'practitioner_kits', id::text from practitioner_kits`);
    for (const { ownerType, owner, source, legacyId } of seeded) {
      const found = await side.service.list(
        { ownerType, id: owner },
        { after: undefined, limit: 100 },
      );
      const kit = found.find((one) => one.source === source && one.legacyId === legacyId);
      if (kit === undefined) throw new TypeError('a seeded kit');
      side.kits.push({ source, legacyId, kitsId: kit.kitsId, kitNumber: numberOf(kit.fields) });
    }
    side.kits.sort((a, b) => (a.kitNumber < b.kitNumber ? -1 : 1));
    return side;
  }

  #queue(queue: 'jobs' | 'dead' | 'events'): string {
    return this.#rig.queues.queueUrl(`${queue}-${this.name}`);
  }

  async #takeAll(queue: 'dead' | 'events'): Promise<Message[]> {
    const { sqs } = this.#rig;
    const taken: Message[] = [];
    for (;;) {
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: this.#queue(queue),
          MaxNumberOfMessages: 10,
          MessageAttributeNames: ['All'],
        }),
      );
      if (Messages.length === 0) return taken;
      taken.push(...Messages);
      await sqs.send(
        new DeleteMessageBatchCommand({
          QueueUrl: this.#queue(queue),
          Entries: Messages.map(({ ReceiptHandle }, n) => ({ Id: String(n), ReceiptHandle })),
        }),
      );
    }
  }

  /** Bodies of what the consumer has put back; there is no other sender, and it would wait for a minute. */
  async #takePutBack(): Promise<string[]> {
    const { queues, sqs } = this.#rig;
    const found = await fetch(`${queues.endpoint}/_fauxqs/queues/jobs-${this.name}`);
    const { ready, delayed } = waiting.parse(await found.json()).messages;
    const bodies = [...ready, ...delayed].map(({ body }) => body);
    if (bodies.length > 0) await sqs.send(new PurgeQueueCommand({ QueueUrl: this.#queue('jobs') }));
    return bodies;
  }

  /** Invokes the consumer once for each batch, at the same time. */
  async deliver(batches: readonly (readonly SQSRecord[])[]): Promise<Delivered> {
    const failed = await Promise.all(
      batches.map(async (Records) => {
        try {
          const answer = await this.#functions.invoke('consumer', JSON.stringify({ Records }));
          const { batchItemFailures }: SQSBatchResponse = JSON.parse(answer);
          return batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
        } catch {
          // As Lambda does with an invocation that fails.
          return Records.map(({ messageId }) => messageId);
        }
      }),
    );
    const dead = (await this.#takeAll('dead')).map(({ MessageAttributes = {} }) => ({
      messageId: MessageAttributes.originalMessageId?.StringValue ?? '',
      reason: MessageAttributes.reason?.StringValue ?? '',
    }));
    return {
      failed: new Set(failed.flat()),
      dead,
      putBack: await this.#takePutBack(),
    };
  }

  /** Ends the consumer's connections, as a failover does. */
  async disconnect(): Promise<void> {
    await this.legacy.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and datname = current_database()`,
      [new URL(this.#serviceUrl).username],
    );
  }

  /** Hands the outbox on, and takes what arrived. */
  async relay(): Promise<void> {
    await this.#functions.invoke('relay', '{}');
    for (const { Body = '' } of await this.#takeAll('events')) this.arrived.push(JSON.parse(Body));
  }

  /** A kit that an owner makes; the same number on both sides, while ids may differ. */
  async birth(source: Source, kitNumber: string): Promise<void> {
    const owned = source === 'kit' ? 'user1' : 'practitioner1';
    const { rows } = await this.legacy.pool.query('select md5($1)::uuid::text as id', [owned]);
    await this.service.create({
      owner: { ownerType: source === 'kit' ? 'client' : 'practitioner', id: rows[0].id },
      values: { fields: { kitNumber }, attributes: {} },
      respond: ({ legacyId, kitsId }) => {
        // A transaction that met the wrong store is taken back, and the next one answers anew.
        const known = this.kits.findIndex((one) => one.kitNumber === kitNumber);
        this.kits.splice(known === -1 ? this.kits.length : known, 1, {
          source,
          legacyId,
          kitsId,
          kitNumber,
        });
        return { status: 201, headers: {}, body: '' };
      },
    });
  }

  /** What an owner's change of status comes to. */
  async change(kit: number, status: KitStatus): Promise<{ changed: boolean; outcome: string }> {
    const known = this.kits[kit % this.kits.length];
    if (known === undefined) throw new TypeError('a run has kits');
    const { source, legacyId, kitNumber } = known;
    const born = kitNumber.startsWith('N');
    const n = Number(kitNumber.slice(1));
    const { rows } = await this.legacy.pool.query(
      `select md5('user' || $1)::uuid::text as "userId", md5('practitioner' || $2)::uuid::text as "practitionerId"`,
      [born ? 1 : n % 50, born ? 1 : n % 10],
    );
    let before: string | null | undefined;
    try {
      const { fields } = await this.service.change({
        reference: { source, legacyId },
        caller: rows[0],
        valuesFor: () => ({ fields: {}, attributes: {} }),
        statusFor: () => status,
        precondition: (found) => {
          before = found.fields.status;
          return undefined;
        },
      });
      return { changed: fields.status !== before, outcome: fields.status ?? '' };
    } catch (error) {
      if (error instanceof UnifiedKitsError) return { changed: false, outcome: error.name };
      throw error;
    }
  }

  #kitOf(source: unknown, legacyId: unknown, kitsId: unknown): string {
    const kit = this.kits.find((one) => one.source === source && one.legacyId === legacyId);
    if (kit?.kitsId !== kitsId || kit === undefined)
      throw new Error(`an event of no kit on this side: ${source} ${legacyId} ${kitsId}`);
    return kit.kitNumber;
  }

  /** The outbox, by kit and in order. */
  async outbox(): Promise<Record<string, SeenEvent[]>> {
    const { rows } = await this.legacy.pool.query(
      'select kits_id::text as "kitsId", body from kits_service.kit_event order by number',
    );
    return byKit(
      rows.map(({ kitsId: of, body: { kitsId, legacyId, ...event } }) => {
        if (of !== kitsId) throw new Error('an event of one kit in the order of another');
        return { kit: this.#kitOf(event.source, legacyId, kitsId), event };
      }),
    );
  }

  /** What arrived in the queue, by kit and in order of arrival, which `sequence` must follow. */
  emitted(): Record<string, SeenEvent[]> {
    const last = new Map<string, bigint>();
    return byKit(
      this.arrived.map(
        ({ eventId, kitsId, kitId, practitionerKitId, occurredAt, sequence, ...event }) => {
          const source = kitId === undefined ? 'practitioner_kits' : 'kit';
          const kit = this.#kitOf(source, kitId ?? practitionerKitId, kitsId);
          const place = BigInt(String(sequence));
          if (place <= (last.get(kit) ?? -1n)) throw new Error(`an event of ${kit} came too late`);
          last.set(kit, place);
          return { kit, event: { ...event, source } };
        },
      ),
    );
  }

  /** Jobs that have had their effect, or needed none. */
  async handled(): Promise<ReadonlyMap<string, string>> {
    const { rows } = await this.legacy.pool.query(
      'select job_id, outcome from kits_service.handled_job order by job_id',
    );
    return new Map(rows.map(({ job_id: job, outcome }) => [job, outcome]));
  }

  /** What owners and jobs have made of the kits. What owners did just now has a time of its own on each side. */
  async content(): Promise<unknown[]> {
    const ownersTime = (column: string) =>
      `case when ${column} between now() - interval '30 minutes' and now() then 'just now' else ${column}::text end as ${column}`;
    const columns = `kit_number, status, kit_type, order_id, metadata::text, ${ownersTime('registered_at')}, ${ownersTime('collected_at')}, received_at::text, resulted_at::text`;
    const { rows } = await this.legacy.pool.query(
      `select ${columns}, user_id as owner, notes as more from kit
       union all select ${columns}, practitioner_id, patient_name from practitioner_kits order by 1`,
    );
    return rows;
  }

  async close(): Promise<void> {
    await this.#takeAll('events');
    await this.#serviceDb.close();
    await closeDatabaseAt(this.#serviceUrl);
    await this.legacy.drop();
  }
}

const byKit = (
  events: readonly { readonly kit: string; readonly event: SeenEvent }[],
): Record<string, SeenEvent[]> => {
  const kits: Record<string, SeenEvent[]> = {};
  for (const { kit, event } of events) kits[kit] = [...(kits[kit] ?? []), event];
  return kits;
};

const numberOf = ({ kitNumber }: { readonly kitNumber: string | null }): string => {
  if (kitNumber === null) throw new TypeError('a seeded kit has a number');
  return kitNumber;
};

/** Statuses that an owner may ask for; one of them is refused. */
export const OWNER_STATUSES = KIT_STATUSES.filter((status) =>
  ['registered', 'collected', 'cancelled', 'completed'].includes(status),
);
