import { DuplicateKitNumber, RowRefused } from '@unified-kits/domain';
import type pg from 'pg';
import { enterChunk } from '../backlog/drain-lock.ts';
import type { Database, Session } from '../connection/database.ts';
import { hasSqlState, isRowFault, SQLSTATE } from '../connection/sqlstate.ts';
import type { Projection } from '../projection/projection.ts';
import { keyArbiter } from '../schema/kits-table.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import { readStage } from '../stage/read-stage.ts';
import { inRange, type KeyRange, keyAt } from './walk-ranges.ts';

export interface ChunkResult {
  /** What the claim met: a piece was copied, nothing is left, or everything left is claimed by others. */
  readonly outcome: 'copied' | 'finished' | 'busy';
  /** Rows written to `kits`. */
  readonly rows: number;
}

/** A short wait makes the copy, never a client, the loser of a conflict. */
const LOCK_TIMEOUT_MS = 500;

interface Claim extends KeyRange {
  readonly source: 'kit' | 'practitioner_kits';
  readonly ordinal: number;
}

/** Claims an open range for the transaction: a dead worker's claim ends with its session. */
const claim = async (session: Session, batchId: string): Promise<Claim | undefined> =>
  (
    await session.query(
      `select source, ordinal, coalesce(cursor, lower) as lower, upper from migration.chunk
        where batch_id = $1 and done_at is null order by ordinal, source for update skip locked limit 1`,
      [batchId],
    )
  ).rows[0];

/**
 * The copy statement of one piece; parameters: batch id, keys to leave out, then the bounds. A piece goes
 * in by the order of its new ids, which is its age: measured over rows with random uuids, 12 % faster than
 * by key, for the primary key and the kit numbers grow with age too, and the key index is local to the piece.
 */
export const copyStatement = (
  { binding, source, forward, legacyFrom, legacyKey }: Projection,
  range: string,
): string =>
  `insert into ${binding.kits} (${forward.map(({ column }) => quoteIdentifier(column)).join(', ')}, migration_batch_id)
   select ${forward.map(({ expression }) => expression).join(', ')}, $1::uuid
     from ${legacyFrom}
    where ${range} and ${legacyKey} <> all ($2::text[]::${source.idType}[])
    order by 1
   on conflict ${keyArbiter(binding, source.source)} do nothing`;

interface Duplicate {
  readonly key: string;
  readonly otherSource: string;
  readonly otherKey: string;
  /** The other kit's number as it is in its legacy table now. */
  readonly stale: boolean;
}

/** Which rows of a range have a kit number that another kit holds already, in `kits` or in the range. */
const findDuplicates = async (
  session: Session,
  projections: ReadonlyMap<string, Projection>,
  projection: Projection,
  range: KeyRange,
): Promise<Duplicate[]> => {
  const { binding, source, legacyKey } = projection;
  const number = (of: Projection) => {
    const rule = of.source.rules.find(({ field }) => field === 'kitNumber');
    if (rule === undefined) throw new TypeError('a mapping always names the kit number');
    return `s.${quoteIdentifier(rule.column.name)}::text`;
  };
  const { sql, values } = inRange(legacyKey, source, range, 2);
  const { rows } = await session.query(
    `select ${legacyKey}::text as key, k.source as "otherSource", k.legacy_id as "otherKey", k.kit_number as number
       from ${source.relation} s join ${binding.kits} k on k.kit_number = ${number(projection)}
      where (k.source <> $1 or k.legacy_id <> ${legacyKey}::text) and ${sql} limit 20`,
    [source.source, ...values],
  );
  const found: Duplicate[] = [];
  for (const row of rows) {
    const other = projections.get(row.otherSource);
    const live =
      other === undefined
        ? []
        : (
            await session.query(
              `select from ${other.source.relation} s where ${other.legacyKey} = cast($1 as ${other.source.idType}) and ${number(other)} = $2`,
              [row.otherKey, row.number],
            )
          ).rows;
    found.push({
      key: row.key,
      otherSource: row.otherSource,
      otherKey: row.otherKey,
      stale: live.length === 0,
    });
  }
  if (found.length > 0) return found;
  const within = inRange(legacyKey, source, range, 1);
  const pairs = await session.query(
    `select (array_agg(${legacyKey}::text order by ${legacyKey}))[1:2] as keys from ${source.relation} s
      where ${within.sql} group by ${number(projection)} having count(*) > 1 limit 1`,
    within.values,
  );
  const [key, otherKey] = pairs.rows[0]?.keys ?? [];
  return key === undefined
    ? []
    : [{ key: otherKey, otherSource: source.source, otherKey: key, stale: false }];
};

const refuseRow = (error: pg.DatabaseError, projection: Projection, range: KeyRange) =>
  new RowRefused(
    `kits refuses a row of ${projection.source.relation} with id in (${range.lower ?? 'start'}, ${range.upper ?? 'end'}]: ${[error.code, error.constraint ?? error.column].filter(Boolean).join(' ')}. The analysis names such rows by key; correct them and resume the batch.`,
    { cause: error },
  );

/**
 * What to do about a duplicate kit number. The copy sees rows of different ages: a number that moved
 * from one kit to another after the first was copied only looks like a duplicate. Such a row is left
 * to the drain, which sees both as they are. A real one fails the batch.
 */
const settleDuplicates = async (
  db: Database,
  projections: ReadonlyMap<string, Projection>,
  projection: Projection,
  range: KeyRange,
  cause: unknown,
): Promise<string[]> => {
  const duplicates = await db.transaction({ asEngine: true }, (session) =>
    findDuplicates(session, projections, projection, range),
  );
  const real = duplicates.find(({ stale }) => !stale);
  if (real !== undefined)
    throw new DuplicateKitNumber(
      `${projection.source.source} ${real.key} and ${real.otherSource} ${real.otherKey} have the same kit number. Correct one of them in its legacy table, then resume the batch.`,
      { cause },
    );
  const keys = duplicates.map(({ key }) => key);
  // Locked, and looked at again: the stage may be another by now, in which nobody would drain these keys.
  await db.query(
    `with still as materialized (select from migration.stage where stage = 'copying' for share)
     insert into migration.pending_sync (source, legacy_id, cause) select $1, key, 'copy' from still, unnest($2::text[]) noted(key)`,
    [projection.source.source, keys],
    { asEngine: true },
  );
  return keys;
};

/**
 * Claims an open range of the batch and copies up to `rows` of its rows, the copy and its bookkeeping in
 * one transaction. Any number of workers may call it, and any may die.
 *
 * @throws {DuplicateKitNumber} naming both keys.
 * @throws {RowRefused} when a row breaks a constraint of `kits`.
 */
export const copyChunk = async (
  db: Database,
  projections: ReadonlyMap<string, Projection>,
  batchId: string,
  rows: number,
): Promise<ChunkResult> => {
  const skip = new Map<string, string[]>();
  for (;;) {
    let at: { projection: Projection; range: KeyRange } | undefined;
    try {
      return await db.transaction(
        {
          asEngine: true,
          lockTimeoutMs: LOCK_TIMEOUT_MS,
          statementTimeoutMs: 30_000,
          synchronousCommit: false,
        },
        async (session) => {
          await enterChunk(session);
          const { stage, batchId: active } = await readStage(session);
          // A worker that outlived its batch must not write into the next stage.
          if (stage !== 'copying' || active !== batchId) return { outcome: 'finished', rows: 0 };
          const claimed = await claim(session, batchId);
          if (claimed === undefined) {
            const open = await session.query(
              'select from migration.chunk where batch_id = $1 and done_at is null limit 1',
              [batchId],
            );
            return { outcome: open.rowCount === 0 ? 'finished' : 'busy', rows: 0 };
          }
          const projection = projections.get(claimed.source);
          if (projection === undefined) throw new TypeError(`no projection of ${claimed.source}`);
          const boundary = await keyAt(session, projection.source, claimed, rows);
          const range: KeyRange = { lower: claimed.lower, upper: boundary ?? claimed.upper };
          at = { projection, range };
          const { sql, values } = inRange(projection.legacyKey, projection.source, range, 3);
          const copied = await session.query(copyStatement(projection, sql), [
            batchId,
            skip.get(claimed.source) ?? [],
            ...values,
          ]);
          await session.query(
            `update migration.chunk set cursor = $4, rows_copied = rows_copied + $5,
                  done_at = case when $6 then clock_timestamp() end
            where batch_id = $1 and source = $2 and ordinal = $3`,
            [
              batchId,
              claimed.source,
              claimed.ordinal,
              range.upper,
              copied.rowCount ?? 0,
              boundary === undefined || boundary === claimed.upper,
            ],
          );
          return { outcome: 'copied', rows: copied.rowCount ?? 0 };
        },
      );
    } catch (error) {
      if (at === undefined || !isRowFault(error)) throw error;
      if (!hasSqlState(error, SQLSTATE.uniqueViolation))
        throw refuseRow(error, at.projection, at.range);
      const { source } = at.projection.source;
      const stale = await settleDuplicates(db, projections, at.projection, at.range, error);
      skip.set(source, [...(skip.get(source) ?? []), ...stale]);
    }
  }
};
