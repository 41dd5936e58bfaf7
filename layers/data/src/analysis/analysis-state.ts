import type { Tally } from '@unified-kits/domain';
import { digest } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { DuplicateCursor } from './find-duplicates.ts';
import type { Scanned } from './scanned-table.ts';

/** Raised when the state, or what the statements put into the work table, changes. */
const FORMAT = 1;
/** An analysis left alone for longer describes another database than the one it would end with. */
const FORGET_AFTER = '1 hour';

export type AnalysisStep =
  | {
      readonly at: 'scan';
      readonly table: Scanned;
      /** The last key read; null before the first range. */
      readonly lower: string | null;
    }
  | { readonly at: 'numbers' | 'users'; readonly cursor: DuplicateCursor }
  | { readonly at: 'end' };

/** Everything that an analysis remembers between two ranges. */
export interface AnalysisState {
  /** What is analysed; another mapping or schema begins anew. */
  readonly of: string;
  readonly startedAt: string;
  readonly step: AnalysisStep;
  /** Rows of the next range. */
  readonly rangeRows: number;
  readonly rows: Readonly<Record<Scanned, number>>;
  readonly unreadable: readonly string[];
  readonly tallies: readonly Tally[];
}

/** The identity of an analysis. */
export const analysisOf = ({ mappingDigest, schemaDigest }: Binding): string =>
  digest({ format: FORMAT, mappingDigest, schemaDigest });

/** The state of the analysis under way, locked until the transaction ends; undefined where none can be resumed. */
export const lockState = async (
  session: Session,
  of: string,
): Promise<AnalysisState | undefined> => {
  // Two drivers of one analysis take turns; without a row to lock they would both begin.
  await session.query(`select pg_advisory_xact_lock(hashtextextended('unified-kits analysis', 0))`);
  const { rows } = await session.query(
    `select state from migration.analysis where state ->> 'of' = $1 and touched_at > clock_timestamp() - $2::interval`,
    [of, FORGET_AFTER],
  );
  return rows[0]?.state;
};

/** Forgets an analysis and its hashes. */
export const clearState = async (session: Session): Promise<void> => {
  await session.query('truncate migration.analysis, migration.analysis_hash');
};

export const saveState = async (session: Session, state: AnalysisState): Promise<void> => {
  await session.query(
    `insert into migration.analysis (state) values ($1)
     on conflict (only_one) do update set state = excluded.state, touched_at = clock_timestamp()`,
    [JSON.stringify(state)],
  );
};
