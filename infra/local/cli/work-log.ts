import type { Database } from '@unified-kits/data';

/** A phase, and how long it worked. */
export interface PhaseSeconds {
  readonly name: string;
  readonly seconds: number;
}

interface Work {
  readonly phase: string;
  readonly step: string | null;
  /** Milliseconds of the epoch. */
  readonly from: number;
  readonly to: number;
}

const WORKED = `
select phase, detail ->> 'step' as step, extract(epoch from at)::float8 * 1000 as "to",
       extract(epoch from at)::float8 * 1000 - (detail ->> 'milliseconds')::float8 as "from"
  from migration.event
 where action = 'worked' and at >= $1
 order by id`;

/** What the phases' functions have recorded of their work since a moment. */
const readWork = (db: Database, since: Date): Promise<Work[]> =>
  db.query<Work & Record<string, unknown>>(WORKED, [since], { readOnly: true });

/** Seconds in which at least one of these was at work: lanes work side by side. */
export const coveredSeconds = (work: readonly Pick<Work, 'from' | 'to'>[]): number => {
  let covered = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of work.toSorted((a, b) => a.from - b.from)) {
    if (to <= end) continue;
    covered += to - Math.max(from, end);
    end = to;
  }
  return covered / 1000;
};

const round = (value: number) => Math.round(value * 1000) / 1000;

/** Each phase with the seconds it worked, in the order in which they began; a resumed run's add up. */
export const phaseSeconds = async (db: Database, since: Date): Promise<PhaseSeconds[]> => {
  const byPhase = Map.groupBy(await readWork(db, since), ({ phase }) => phase);
  return [...byPhase].map(([name, work]) => ({ name, seconds: round(coveredSeconds(work)) }));
};

/** Seconds in which at least one lane was copying. */
export const copySeconds = async (db: Database, since: Date): Promise<number> =>
  coveredSeconds(
    (await readWork(db, since)).filter(
      ({ phase, step }) => phase === 'phase2-migration' && step === 'copy',
    ),
  );
