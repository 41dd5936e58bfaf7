import { setTimeout as sleep } from 'node:timers/promises';
import { SendMessageBatchCommand } from '@aws-sdk/client-sqs';
import type { Binding, Database } from '@unified-kits/data';
import { QUEUES } from '../../queues.ts';
import type { LocalService } from '../service.ts';
import { seededRandom } from '../writers/random.ts';
import { type JobKit, type JobsPlan, WAY, wayOf } from './plan.ts';

/** How often a batch is sent, in milliseconds, and how many new jobs it has. */
const EVERY_MS = 250;
const NEW_PER_BATCH = 4;
/** One batch in so many has garbage in it. */
const GARBAGE_EVERY = 8;

/** What has been sent, as far as this process knows. */
export interface Production {
  /** The ids of all jobs, each once. */
  readonly jobIds: ReadonlySet<string>;
  /** Messages with a job that had been sent before. */
  readonly repeated: number;
  /** Messages that no consumer can ever apply. */
  readonly garbage: number;
}

export interface RunningProducer {
  /** Resolves when the last batch has been sent. */
  stop(): Promise<Production>;
  /** What made it stop by itself. */
  fault(): unknown;
}

const jobIdOf = (plan: JobsPlan, index: number, place: number) =>
  `demo-${plan.tag}-${index}-${place}`;

/**
 * Where each kit of the plan has been led to by the jobs of this run that were handled. A message dies with
 * the process whose queue it was in; a producer sends what it has no answer to again.
 */
export const placesReached = async (db: Database, plan: JobsPlan): Promise<number[]> => {
  const rows = await db.query<{ index: number; place: number }>(
    `select split_part(job_id, '-', 3)::int as index, max(split_part(job_id, '-', 4)::int) as place
       from kits_service.handled_job where job_id like 'demo-' || $1 || '-%' group by 1`,
    [plan.tag],
    { readOnly: true },
  );
  const places = plan.kits.map(({ place }) => place);
  for (const { index, place } of rows) places[index] = Math.max(places[index] ?? 0, place);
  return places;
};

/** Sends jobs of every shape, some twice and some of no use, until it is stopped. */
class Producer {
  readonly #plan: JobsPlan;
  readonly #places: number[];
  readonly #ways: Readonly<Record<string, readonly string[] | undefined>>;
  readonly #random: () => number;
  readonly #sent = new Map<string, string>();
  #repeated = 0;
  #garbage = 0;
  #batches = 0;

  constructor(plan: JobsPlan, binding: Binding, places: number[], seed: number) {
    this.#plan = plan;
    this.#places = places;
    this.#ways = {
      kit: wayOf(binding, 'kit'),
      practitioner_kits: wayOf(binding, 'practitioner_kits'),
    };
    this.#random = seededRandom(seed);
  }

  get production(): Production {
    return {
      jobIds: new Set(this.#sent.keys()),
      repeated: this.#repeated,
      garbage: this.#garbage,
    };
  }

  #pick<Item>(items: readonly Item[]): Item | undefined {
    return items[Math.floor(this.#random() * items.length)];
  }

  #references({ source, legacyId, kitsId, kitNumber }: JobKit): object {
    const number = Number(legacyId);
    const id = Number.isSafeInteger(number)
      ? (this.#pick([legacyId, number]) ?? legacyId)
      : legacyId;
    const byLegacyId = source === 'kit' ? { kitId: id } : { practitionerKitId: id };
    return (
      this.#pick([{ kitsId }, byLegacyId, { kitNumber }, { kitsId, ...byLegacyId, kitNumber }]) ??
      {}
    );
  }

  /** The next step of some kit; undefined once all have come to the end of their way. */
  #job(): string | undefined {
    const open = this.#places.flatMap((place, index) => (place < WAY.length - 1 ? [index] : []));
    const index = this.#pick(open);
    const kit = index === undefined ? undefined : this.#plan.kits[index];
    if (index === undefined || kit === undefined) return undefined;
    const place = (this.#places[index] ?? 0) + 1;
    this.#places[index] = place;
    const jobId = jobIdOf(this.#plan, index, place);
    const ready = place === WAY.length - 1;
    const words = [WAY[place], this.#ways[kit.source]?.[place]];
    const body = JSON.stringify({
      jobId,
      type: ready ? 'kit.results-ready' : 'kit.status-changed',
      version: 1,
      occurredAt: new Date().toISOString(),
      data: ready ? {} : { status: this.#pick(words) },
      ...this.#references(kit),
    });
    this.#sent.set(jobId, body);
    return body;
  }

  #nonsense(): string {
    this.#garbage += 1;
    const jobId = `demo-garbage-${this.#garbage}`;
    const sound = { jobId, type: 'kit.status-changed', version: 1, data: { status: 'received' } };
    const occurredAt = new Date().toISOString();
    return (
      this.#pick([
        'not even JSON',
        JSON.stringify({ ...sound, occurredAt, kitNumber: 'nobody has this number' }),
        JSON.stringify({ ...sound, occurredAt, type: 'kit.lost', kitId: 1 }),
        JSON.stringify({ ...sound, occurredAt, version: 2, kitId: 1 }),
        JSON.stringify({ ...sound, occurredAt }),
      ]) ?? ''
    );
  }

  batch(): readonly string[] {
    this.#batches += 1;
    const again = this.#pick([...this.#sent.values()].slice(-200));
    if (again !== undefined) this.#repeated += 1;
    const jobs = Array.from({ length: NEW_PER_BATCH }, () => this.#job() ?? []).flat();
    return [
      ...jobs,
      ...(again === undefined ? [] : [again]),
      ...(this.#batches % GARBAGE_EVERY === 0 ? [this.#nonsense()] : []),
    ];
  }
}

/** Starts producing. */
export const startProducer = async (
  db: Database,
  binding: Binding,
  plan: JobsPlan,
  { sqs, queues }: LocalService,
  seed: number,
): Promise<RunningProducer> => {
  const producer = new Producer(plan, binding, await placesReached(db, plan), seed);
  const stopped = new AbortController();
  let fault: unknown;
  const work = async () => {
    while (!stopped.signal.aborted) {
      const bodies = producer.batch();
      if (bodies.length > 0)
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl: queues.queueUrl(QUEUES.jobs.name),
            Entries: bodies.map((MessageBody, index) => ({ Id: String(index), MessageBody })),
          }),
        );
      await sleep(EVERY_MS, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
  };
  const working = work().catch((error: unknown) => {
    fault = error;
  });
  return {
    fault: () => fault,
    async stop() {
      stopped.abort();
      await working;
      return producer.production;
    },
  };
};
