import type { ReportedEvent, RunReport } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { EXECUTIONS } from './read-course.ts';

/** As many as a page can show. */
const MOST = 500;
const LONGEST_TEXT = 300;

/** Told elsewhere in the report, and by the hundred. */
const TOLD_ELSEWHERE = ['worked', 'flip-held', 'progress-noted', 'parity-sampled'];

const OF_RUN = `
  (batch_id = $1
   or batch_id in (select id from migration.batch where kind = 'canary' and report_id = $2::uuid)
   or detail ->> 'reportId' = $2::text
   or detail ->> 'execution' in (${EXECUTIONS}))
  and action <> all ($3::text[])`;

const EVENTS = `
select at, phase, action, actor, detail, (count(*) over ())::int as "all"
  from migration.event where ${OF_RUN} order by id desc limit ${MOST}`;

const toldOf = (name: string, value: unknown): ReportedEvent['detail'][string] | undefined => {
  if (typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value !== 'string') return undefined;
  // An ARN names account and machine; its last part the execution.
  const text = name === 'execution' ? value.slice(value.lastIndexOf(':') + 1) : value;
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text;
};

/** Ids and counters; lists stay where they are. */
const detailOf = (detail: Readonly<Record<string, unknown>>): ReportedEvent['detail'] =>
  Object.fromEntries(
    Object.entries(detail).flatMap(([name, value]) => {
      const told = toldOf(name, value);
      return told === undefined ? [] : [[name, told] as const];
    }),
  );

/** What is repeated without anything between becomes one entry, which shows the last. */
const folded = (events: readonly ReportedEvent[]): ReportedEvent[] => {
  const all: ReportedEvent[] = [];
  for (const event of events) {
    const last = all.at(-1);
    if (
      last !== undefined &&
      last.action === 'monitored' &&
      event.action === 'monitored' &&
      last.actor === event.actor
    )
      all[all.length - 1] = { ...event, at: last.at, until: event.at, times: last.times + 1 };
    else all.push(event);
  }
  return all;
};

/** The audit log of a run, in order. */
export const readAuditLog = async (
  session: Session,
  { batchId, reportId }: { readonly batchId: string | null; readonly reportId: string | null },
): Promise<Pick<RunReport, 'events' | 'eventsOmitted'>> => {
  const { rows } = await session.query(EVENTS, [batchId, reportId, TOLD_ELSEWHERE]);
  const events = rows.toReversed().map(
    ({ at, phase, action, actor, detail }): ReportedEvent => ({
      at: at.toISOString(),
      until: null,
      times: 1,
      phase,
      action,
      actor,
      detail: detailOf(detail),
    }),
  );
  return { events: folded(events), eventsOmitted: (rows[0]?.all ?? 0) - rows.length };
};
