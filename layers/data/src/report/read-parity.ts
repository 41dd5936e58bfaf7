import { type ParityCell, type RunReport, SOURCES } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { readMismatches } from '../parity/parity-run.ts';
import type { NumberedFlip } from './read-course.ts';

type Parity = NonNullable<RunReport['parity']>;

/** Squares of each source: more would be too small to be told apart. */
const MOST_CELLS = 400;
const MOST_MISMATCHES = 20;

const RUNS = `
select r.id as "runId", r.epoch, r.started_at as "startedAt", r.finished_at as "finishedAt",
       coalesce(sum(p.compared), 0)::float8 as compared, coalesce(sum(p.mismatched), 0)::float8 as mismatched
  from migration.parity_run r left join migration.parity_range p on p.run_id = r.id
 where r.batch_id = $1 and not exists (
       select from migration.event e where e.batch_id = $1 and e.action = 'parity-sampled' and e.detail ->> 'runId' = r.id::text)
 group by r.id order by r.started_at`;

const SAMPLED = `
select coalesce(sum((detail ->> 'compared')::float8), 0)::float8 as rows, coalesce(sum((detail ->> 'mismatched')::float8), 0)::float8 as mismatches
  from migration.event where batch_id = $1 and action = 'parity-sampled'`;

/** Neighbours added up, so that no source has more than `most`. */
const CELLS = `
select source, count(*)::int as ranges, coalesce(sum(compared), 0)::float8 as compared,
       coalesce(sum(mismatched), 0)::float8 as mismatched, count(*) filter (where done_at is null)::int as open
  from (select *, ordinal / greatest(1, ceil(count(*) over (partition by source)::float8 / $2)::int) as cell
          from migration.parity_range where run_id = $1) numbered
 group by source, cell order by source, cell`;

const cellsOf = async (session: Session, runId: string): Promise<ParityCell[]> => {
  const { rows } = await session.query(CELLS, [runId, MOST_CELLS]);
  return SOURCES.flatMap((source) => rows.filter((cell) => cell.source === source));
};

/** The comparisons of a batch; null before the first. */
export const readParity = async (
  session: Session,
  batchId: string,
  flips: readonly NumberedFlip[],
): Promise<Parity | null> => {
  const { rows } = await session.query(RUNS, [batchId]);
  const finished = rows.filter(({ finishedAt }) => finishedAt !== null);
  // One that nobody finished says nothing beside one that was; before that it shows how far it is.
  const told = finished.length > 0 ? finished : rows.slice(-1);
  const last = told.at(-1);
  if (last === undefined) return null;
  const sampled = (await session.query(SAMPLED, [batchId])).rows[0];
  return {
    runs: told.map(({ runId, epoch, startedAt, finishedAt, compared, mismatched }) => ({
      runId,
      stage: flips.find((flip) => flip.epoch === epoch)?.to ?? null,
      startedAt: startedAt.toISOString(),
      finishedAt: finishedAt?.toISOString() ?? null,
      compared,
      mismatched,
    })),
    cells: await cellsOf(session, last.runId),
    mismatches: (await readMismatches(session, last.runId, MOST_MISMATCHES)).map((one) => ({
      ...one,
      source: one.source === 'kit' ? 'kit' : 'practitioner_kits',
    })),
    sampledRows: sampled.rows,
    sampledMismatches: sampled.mismatches,
  };
};
