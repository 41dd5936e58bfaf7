import type { Database } from '@unified-kits/data';
import { type Quantiles, quantiles } from '../writers/latencies.ts';
import type { Exchange } from '../writers/ledger.ts';

/**
 * Parts of a run, as its clients saw it: before anything was begun; while the data were analysed, the schema
 * made and the canary rehearsed; while rows were copied and drained; while a flip held writers; from the first
 * mirrored write on; and on the way back.
 */
export const WINDOWS = ['before', 'analysis', 'copy', 'flips', 'after', 'rollback'] as const;
export type Window = (typeof WINDOWS)[number];

/** Requests, those with an answer that they were not to have (5xx, none, a wrong one), and their milliseconds. */
export interface RequestFigures extends Quantiles {
  readonly count: number;
  readonly errors: number;
}

/** A stretch of time, in milliseconds of the epoch. */
interface Stretch {
  readonly from: number;
  readonly until: number;
}

/** When the windows begin, in milliseconds of the epoch by this process's clock; undefined: not yet. */
export interface Moments {
  readonly analysis: number | undefined;
  readonly copy: number | undefined;
  readonly after: number | undefined;
  readonly rollback: number | undefined;
  /** While each flip held its locks. */
  readonly flips: readonly Stretch[];
}

/** The window of a request: by its beginning, but one that overlaps a flip is the flip's. */
export const windowOf = (moments: Moments, { at, ms }: Pick<Exchange, 'at' | 'ms'>): Window => {
  if (moments.flips.some(({ from, until }) => at < until && at + ms > from)) return 'flips';
  const since = (moment: number | undefined) => moment !== undefined && at >= moment;
  if (since(moments.rollback)) return 'rollback';
  if (since(moments.after)) return 'after';
  if (since(moments.copy)) return 'copy';
  return since(moments.analysis) ? 'analysis' : 'before';
};

const figuresOf = (exchanges: readonly Exchange[] = []): RequestFigures => ({
  count: exchanges.length,
  errors: exchanges.filter(({ error }) => error).length,
  ...quantiles(exchanges.map(({ ms }) => ms)),
});

/** The figures of all requests, and of those of each window. */
export const requestFigures = (
  moments: Moments,
  exchanges: readonly Exchange[],
): Record<Window | 'all', RequestFigures> => {
  const byWindow = Map.groupBy(exchanges, (exchange) => windowOf(moments, exchange));
  return Object.fromEntries([
    ['all', figuresOf(exchanges)],
    ...WINDOWS.map((window) => [window, figuresOf(byWindow.get(window))]),
  ]) as Record<Window | 'all', RequestFigures>;
};

const MILLISECONDS = 'extract(epoch from at)::float8 * 1000';

/** `at` of a flip lies between its lock and its commit: what it held after that, `flip-held` knows. */
const FLIPS = `
select f.detail ->> 'to' as "to", f.locked_at as "from",
       f.locked_at + coalesce((select (h.detail ->> 'writersHeldMs')::float8 from migration.event h
                                where h.action = 'flip-held' and h.batch_id = $1 and h.detail ->> 'epoch' = f.detail ->> 'epoch'
                                limit 1), (f.detail ->> 'underLockMs')::float8) as until
  from (select id, detail, ${MILLISECONDS} - (detail ->> 'underLockMs')::float8 as locked_at
          from migration.event where action = 'flip' and batch_id = $1) f
 order by f.id`;

const WORK = `
select min(began) as analysis, min(began) filter (where phase = 'rollback') as rollback
  from (select phase, ${MILLISECONDS} - (detail ->> 'milliseconds')::float8 as began
          from migration.event where action = 'worked' and at >= $1) work`;

/** How far the database's clock is ahead of this process's, in milliseconds. */
const clockAhead = async (db: Database): Promise<number> => {
  const asked = Date.now();
  const [clock] = await db.query<{ now: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
  );
  return (clock?.now ?? asked) - (asked + Date.now()) / 2;
};

/**
 * Reads when the windows of a run began.
 *
 * @param since the beginning of the run
 */
export const readMoments = async (db: Database, batchId: string, since: Date): Promise<Moments> => {
  const ahead = await clockAhead(db);
  const [work] = await db.query<{ analysis: number | null; rollback: number | null }>(WORK, [
    since,
  ]);
  const flips = await db.query<{ to: string; from: number; until: number }>(FLIPS, [batchId]);
  const here = (moment: number | null | undefined) => (moment == null ? undefined : moment - ahead);
  const first = (stage: string) => here(flips.find(({ to }) => to === stage)?.from);
  return {
    analysis: here(work?.analysis),
    copy: first('copying'),
    after: first('mirrored'),
    rollback: here(work?.rollback),
    flips: flips.map(({ from, until }) => ({ from: from - ahead, until: until - ahead })),
  };
};
