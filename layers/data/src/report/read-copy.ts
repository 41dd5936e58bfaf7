import type { ProgressSample, RunReport, Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { readProgressBySource } from '../copy/read-progress.ts';
import { EXECUTIONS } from './read-course.ts';

const COPY_SECONDS = `
select coalesce(sum(extract(epoch from upper(span) - lower(span))), 0)::float8 as seconds
  from (select range_agg(tstzrange(at - (detail ->> 'milliseconds')::float8 * interval '1 millisecond', at, '[]')) as spans
          from migration.event
         where action = 'worked' and phase = 'phase2-migration' and detail ->> 'step' = 'copy'
           and detail ->> 'execution' in (${EXECUTIONS})) work, unnest(spans) span`;

const SAMPLES = `
select at, (detail ->> 'copied')::float8 as copied, (detail ->> 'backlog')::float8 as backlog
  from migration.event where batch_id = $1 and action = 'progress-noted' order by id`;

/** As many looks as a plot can show. */
const MOST_SAMPLES = 600;

/** Every so many, with the last, so that no plot ends early. */
const thinned = <Item>(items: readonly Item[], most: number): Item[] => {
  const step = Math.ceil(items.length / most);
  return items.filter((_, at) => at % step === 0 || at === items.length - 1);
};

/** How the copy of a batch went; null before it was planned. */
export const readCopy = async (session: Session, batchId: string): Promise<RunReport['copy']> => {
  const sources = await readProgressBySource(session, batchId);
  if (sources.length === 0) return null;
  const copied = (name: Source) => sources.find(({ source }) => source === name)?.copied ?? 0;
  const spent = (await session.query(COPY_SECONDS, [batchId])).rows[0].seconds;
  const samples: ProgressSample[] = (await session.query(SAMPLES, [batchId])).rows.map(
    ({ at, ...figures }) => ({ at: at.toISOString(), ...figures }),
  );
  return {
    rows: { kit: copied('kit'), practitioner_kits: copied('practitioner_kits') },
    expected: sources.reduce((sum, { expected }) => sum + expected, 0),
    seconds: spent,
    samples: thinned(samples, MOST_SAMPLES),
  };
};
