import { setTimeout as sleep } from 'node:timers/promises';
import { GetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import type { Binding, Database } from '@unified-kits/data';
import { SOURCES, type Store } from '@unified-kits/domain';
import { QUEUES } from '../../queues.ts';
import type { LocalService } from '../service.ts';
import { contentStatement, unifiedValue } from '../writers/written-fields.ts';
import { type JobsPlan, WAY } from './plan.ts';
import { type Production, placesReached } from './producer.ts';

/** What became of the jobs of a run. */
export interface JobsVerdict {
  /** Different jobs, each counted once however often it was sent. */
  readonly sent: number;
  readonly repeated: number;
  /** Of these, those that had their effect, or came too late to have one; each once. */
  readonly handled: number;
  /** Kits that are not where the jobs have led them, as `source:legacy id`. */
  readonly astray: readonly string[];
  readonly garbage: number;
  readonly deadLettered: number;
}

/** Longer than a message that was put back stays hidden. */
const MOST_WAIT_MS = 60_000;
const POLL_MS = 100;

const handledOf = async (db: Database, jobIds: ReadonlySet<string>): Promise<number> => {
  const [row] = await db.query<{ count: number }>(
    `select count(*)::int as count from kits_service.handled_job where job_id = any ($1::text[])`,
    [[...jobIds]],
    { readOnly: true },
  );
  return row?.count ?? 0;
};

const deadLetters = async ({ sqs, queues }: LocalService): Promise<number> => {
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: queues.queueUrl(QUEUES.jobs.deadLetters),
      AttributeNames: ['ApproximateNumberOfMessages'],
    }),
  );
  return Number(Attributes.ApproximateNumberOfMessages ?? 0);
};

const astray = async (
  db: Database,
  binding: Binding,
  plan: JobsPlan,
  store: Store,
): Promise<string[]> => {
  const places = await placesReached(db, plan);
  const wrong: string[] = [];
  for (const source of SOURCES) {
    const expected = new Map(
      plan.kits.flatMap((kit, index) =>
        kit.source === source ? [[kit.legacyId, WAY[places[index] ?? 0]] as const] : [],
      ),
    );
    const rows = await db.query<{ key: string; values: (string | null)[] }>(
      contentStatement(binding, source, store, ['status'], 'key'),
      [[...expected.keys()]],
      { readOnly: true },
    );
    const found = new Map(
      rows.map(({ key, values }) => [
        key,
        unifiedValue(binding.sources[source], store, 'status', values[0] ?? null),
      ]),
    );
    for (const [key, status] of expected)
      if (found.get(key) !== status) wrong.push(`${source}:${key}`);
  }
  return wrong;
};

/** Waits until the queue has been worked off, and looks what became of every job. */
export const verifyJobs = async (
  db: Database,
  binding: Binding,
  plan: JobsPlan,
  service: LocalService,
  production: Production,
  store: Store,
): Promise<JobsVerdict> => {
  const { jobIds, repeated, garbage } = production;
  const until = Date.now() + MOST_WAIT_MS;
  for (;;) {
    const handled = await handledOf(db, jobIds);
    const deadLettered = await deadLetters(service);
    if ((handled === jobIds.size && deadLettered >= garbage) || Date.now() > until)
      return {
        sent: jobIds.size,
        repeated,
        handled,
        astray: await astray(db, binding, plan, store),
        garbage,
        deadLettered,
      };
    await sleep(POLL_MS);
  }
};

/** The longest time that workers were paused, in milliseconds, from the audit log. */
export const longestPause = async (db: Database, since: Date): Promise<number> => {
  const [row] = await db.query<{ ms: number | null }>(
    `select max(extract(epoch from resumed - at) * 1000)::float8 as ms from (
       select at, action, min(at) filter (where action = 'workers-resumed') over (order by id rows between 1 following and unbounded following) as resumed
         from migration.event where action in ('workers-pausing', 'workers-resumed') and at >= $1) pauses
      where action = 'workers-pausing'`,
    [since],
    { readOnly: true },
  );
  return Math.round(row?.ms ?? 0);
};
