import type { ReportedFlip, RunReport } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

type Phase = RunReport['phases'][number];
type Spans = Phase['spans'];

/** Executions that drove a batch. */
export const EXECUTIONS = `select detail ->> 'execution' from migration.event where batch_id = $1 and action = 'lead-taken'`;

const WORK = `
select phase as name, from_ms as "from", until_ms as "until" from (
  select phase, extract(epoch from lower(span))::float8 * 1000 as from_ms, extract(epoch from upper(span))::float8 * 1000 as until_ms, first
    from (select phase, range_agg(tstzrange(at - (detail ->> 'milliseconds')::float8 * interval '1 millisecond', at, '[]')) as spans, min(id) as first
            from migration.event
           where action = 'worked' and detail ->> 'execution' in (${EXECUTIONS})
           group by phase) work, unnest(spans) span) pieces
 order by first, from_ms`;

/** Of a picture's width: pieces that lie closer are drawn as one. */
const FINEST = 1_500;

interface Piece {
  readonly name: string;
  readonly from: number;
  readonly until: number;
}

const instant = (ms: number): string => new Date(ms).toISOString();

const joined = (pieces: readonly Piece[], gap: number): Spans => {
  const spans: { from: number; until: number }[] = [];
  for (const { from, until } of pieces) {
    const last = spans.at(-1);
    if (last !== undefined && from - last.until <= gap) last.until = Math.max(last.until, until);
    else spans.push({ from, until });
  }
  return spans.map(({ from, until }) => ({ from: instant(from), until: instant(until) }));
};

/** When each phase's functions were at work for a batch, in the order in which they began. */
export const readPhases = async (session: Session, batchId: string): Promise<Phase[]> => {
  const pieces: Piece[] = (await session.query(WORK, [batchId])).rows;
  const whole =
    Math.max(0, ...pieces.map(({ until }) => until)) -
    Math.min(Number.MAX_SAFE_INTEGER, ...pieces.map(({ from }) => from));
  return [...Map.groupBy(pieces, ({ name }) => name)].map(([name, own]) => ({
    name,
    seconds: own.reduce((sum, { from, until }) => sum + until - from, 0) / 1000,
    spans: joined(own, whole / FINEST),
  }));
};

const FLIPS = `
select f.at, f.detail ->> 'from' as "from", f.detail ->> 'to' as "to", f.actor, (f.detail ->> 'epoch')::int as epoch,
       (h.detail ->> 'writersHeldMs')::float8 as "writersHeldMs", (h.detail ->> 'attempts')::float8 as attempts,
       coalesce((h.detail ->> 'drained')::float8, (f.detail ->> 'drained')::float8) as drained
  from migration.event f
  left join lateral (select detail from migration.event
                      where action = 'flip-held' and detail ->> 'epoch' = f.detail ->> 'epoch' order by id limit 1) h on true
 where f.batch_id = $1 and f.action = 'flip' order by f.id`;

/** A flip, and the stage's number that it began. */
export type NumberedFlip = ReportedFlip & { readonly epoch: number };

/** The flips of a batch, in order. */
export const readReportedFlips = async (
  session: Session,
  batchId: string,
): Promise<NumberedFlip[]> =>
  (await session.query(FLIPS, [batchId])).rows.map(({ at, ...flip }) => ({
    at: at.toISOString(),
    ...flip,
  }));
