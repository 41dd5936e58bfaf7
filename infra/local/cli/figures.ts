import { type Database, readRowsBySource, readStage } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';
import type { Quantiles } from '../writers/latencies.ts';
import type { LedgerVerdict } from '../writers/verify-ledger.ts';
import type { Goal } from './executions.ts';
import type { RequestFigures, Window } from './request-windows.ts';
import { copySeconds, type PhaseSeconds, phaseSeconds } from './work-log.ts';

/** What the migration did, from what it recorded in the database. */
export interface MigrationFigures {
  readonly rows: Readonly<Record<Source, number>>;
  readonly rowsPerSecond: number;
  readonly parity: { readonly compared: number; readonly mismatched: number };
  readonly stage: string;
  readonly batchId: string;
  readonly phases: readonly PhaseSeconds[];
  /** How long each flip held its locks, as the engine measured it. */
  readonly flips: readonly { readonly to: string; readonly heldMs: number }[];
}

export interface RollbackFigures {
  readonly rowsDeleted: number;
  /** Null where nothing was taken at the start to compare with. */
  readonly legacyIntact: boolean | null;
}

/** What became of the jobs that were sent meanwhile. */
export interface JobFigures {
  /** Different jobs; how many messages repeated one of them is in `repeated`. */
  readonly sent: number;
  readonly repeated: number;
  /** Jobs that were applied, or found too late to be, each exactly once. */
  readonly handled: number;
  /** Kits that are not where the jobs have led them. */
  readonly astray: number;
  /** Messages that nobody could apply, and how many ended in the dead-letter queue. */
  readonly garbage: number;
  readonly deadLettered: number;
  /** The longest time for which workers were paused. */
  readonly longestPauseMs: number;
}

/** The closing figures: the JSON object of `--json`. */
export interface Figures extends MigrationFigures {
  /** The stage that the run was to reach. */
  readonly goal: Goal;
  readonly writes: Pick<LedgerVerdict, 'acknowledged' | 'found' | 'lost' | 'unexpected'> & {
    /** Those that were sent more than once, because an answer was lost. */
    readonly repeated: number;
  };
  /** Reads of what was written before, and how many did not show it. */
  readonly reads: { readonly checked: number; readonly stale: number };
  /** How long writers waited for the answers to their writes, in milliseconds, over the whole run. */
  readonly writersHeldMs: Quantiles;
  /** All requests of the run, and those of each part of it; times in milliseconds. */
  readonly requests: Readonly<Record<Window | 'all', RequestFigures>>;
  readonly jobs: JobFigures;
  readonly rollback?: RollbackFigures;
}

/** The last whole comparison in the stage from which the writes were switched: the switch rested on it. */
const PARITY = `
select compared::float8 as compared, mismatched::float8 as mismatched from migration.parity_run
 where batch_id = $1 and finished_at is not null
   and epoch = (select max((detail ->> 'epoch')::int) from migration.event
                 where batch_id = $1 and action = 'flip' and detail ->> 'to' = 'mirrored')
 order by started_at desc limit 1`;

const FLIPS = `
select detail ->> 'to' as to, round((detail ->> 'writersHeldMs')::numeric, 1)::float8 as "heldMs"
  from migration.event where batch_id = $1 and action = 'flip-held' order by id`;

/**
 * Reads a batch's figures.
 *
 * @param since the beginning of the run: earlier runs on the same database do not count
 */
export const readFigures = async (
  db: Database,
  batchId: string,
  since: Date,
): Promise<MigrationFigures> => {
  const { stage, rows } = await db.transaction({ readOnly: true }, async (session) => ({
    stage: (await readStage(session)).stage,
    rows: await readRowsBySource(session, batchId),
  }));
  const bySource = Object.fromEntries(
    SOURCES.map((source) => [source, rows[source] ?? 0]),
  ) as Record<Source, number>;
  const copied = SOURCES.reduce((sum, source) => sum + bySource[source], 0);
  const spent = await copySeconds(db, since);
  const [parity] = await db.query<{ compared: number; mismatched: number }>(PARITY, [batchId]);
  return {
    rows: bySource,
    rowsPerSecond: spent > 0 ? Math.round(copied / spent) : 0,
    parity: parity ?? { compared: 0, mismatched: 0 },
    stage,
    batchId,
    phases: await phaseSeconds(db, since),
    flips: await db.query<{ to: string; heldMs: number }>(FLIPS, [batchId]),
  };
};
