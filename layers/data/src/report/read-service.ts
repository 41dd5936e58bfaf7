import type { RunReport } from '@unified-kits/domain';
import type { Batch } from '../batch/batch.ts';
import type { Session } from '../connection/database.ts';
import { EXECUTIONS } from './read-course.ts';

type Jobs = RunReport['jobs'];

const PAUSES = `
select paused.at as "from",
       (select min(at) from migration.event r where r.action = 'workers-resumed' and r.id > paused.id) as until
  from migration.event paused
 where paused.action = 'workers-pausing' and paused.detail ->> 'execution' in (${EXECUTIONS})
 order by paused.id`;

const HANDLED = `
select count(*) filter (where outcome = 'applied')::float8 as applied, count(*) filter (where outcome = 'stale')::float8 as stale
  from kits_service.handled_job where handled_at >= $1 and ($2::timestamptz is null or handled_at <= $2)`;

/** Pauses of the workers for a batch, and the jobs that were handled while it was active. */
export const readJobs = async (session: Session, batch: Batch | undefined): Promise<Jobs> => {
  if (batch === undefined) return { pauses: [], applied: null, stale: null };
  const pauses = (await session.query(PAUSES, [batch.id])).rows;
  const handled = (await session.query(HANDLED, [batch.startedAt, batch.endedAt])).rows[0];
  return {
    pauses: pauses.map(({ from, until }) => ({
      from: from.toISOString(),
      until: until?.toISOString() ?? null,
    })),
    applied: handled.applied,
    stale: handled.stale,
  };
};

const CONTRACT = `
select at, detail ->> 'stage' as stage, (detail ->> 'compared')::float8 as compared, (detail ->> 'requests')::float8 as requests,
       (detail ->> 'differing')::float8 as differing, (detail ->> 'complete')::boolean as complete
  from migration.event where batch_id = $1 and action = 'contract-checked' order by id desc limit 1`;

/** The last check that the API answers alike from both stores; null before the first. */
export const readContract = async (
  session: Session,
  batchId: string,
): Promise<RunReport['contract']> => {
  const [last] = (await session.query(CONTRACT, [batchId])).rows;
  return last === undefined ? null : { ...last, at: last.at.toISOString() };
};

const MONITORED = `
select count(*)::float8 as checks, min(at) as first, max(at) as last, coalesce(sum((detail ->> 'compared')::float8), 0)::float8 as compared,
       coalesce(max((detail ->> 'backlog')::float8), 0)::float8 as "highestBacklog", coalesce(sum((detail ->> 'refused')::float8), 0)::float8 as refused
  from migration.event where batch_id = $1 and action = 'monitored'`;

/** What the watching of a batch saw; null before the first check. */
export const readMonitoring = async (
  session: Session,
  batchId: string,
): Promise<RunReport['monitoring']> => {
  const seen = (await session.query(MONITORED, [batchId])).rows[0];
  return seen.checks === 0
    ? null
    : { ...seen, first: seen.first.toISOString(), last: seen.last.toISOString() };
};

const REHEARSED = `
select e.at, (e.detail ->> 'rows')::float8 as rows from migration.event e join migration.batch canary on canary.id = e.batch_id
 where e.action = 'rehearsed' and canary.report_id = $1 and e.at <= $2 order by e.id desc limit 1`;

/** The rehearsal that a batch began after; null where there was none. */
export const readRehearsal = async (
  session: Session,
  { reportId, startedAt }: Batch,
): Promise<RunReport['rehearsal']> => {
  const [last] = (await session.query(REHEARSED, [reportId, startedAt])).rows;
  return last === undefined ? null : { at: last.at.toISOString(), rows: last.rows };
};

const PROOF = `
select at, detail ->> 'stage' as stage, (detail ->> 'rowsLeft')::float8 as "rowsLeft", (detail ->> 'backlogLeft')::float8 as "backlogLeft",
       (detail ->> 'suspendedTriggers')::float8 as "suspendedTriggers", (detail ->> 'triggersOn')::float8 as "triggersOn"
  from migration.event where batch_id = $1 and action = 'rollback-proved' order by id desc limit 1`;

/** The proof of a batch's rollback, once there is one. */
export const readRollbackProof = async (
  session: Session,
  batchId: string,
): Promise<NonNullable<RunReport['rollback']>['proof']> => {
  const [last] = (await session.query(PROOF, [batchId])).rows;
  return last === undefined ? null : { ...last, at: last.at.toISOString() };
};
