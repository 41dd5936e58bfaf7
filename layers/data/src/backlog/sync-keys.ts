import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { kitsKeyExpression } from '../projection/projection.ts';
import { syncToKitsName, syncToLegacyName } from '../schema/sync-functions.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

export type Direction = 'legacy-to-kits' | 'kits-to-legacy';

const arrayOf = (source: BoundSource) => `$1::text[]::${source.idType}[]`;

/**
 * Locks the authoritative rows of some keys against change, in the order in which writers lock them.
 * Without it a writer's mirror could land between a drain's read and its write, and be overwritten
 * with nothing left in the backlog to tell.
 */
export const lockAuthoritative = async (
  session: Session,
  binding: Binding,
  source: BoundSource,
  direction: Direction,
  keys: readonly string[],
): Promise<void> => {
  const id = `s.${quoteIdentifier(source.id.name)}`;
  const kitsKey = kitsKeyExpression('k.', source.source, source.idType);
  const statement =
    direction === 'legacy-to-kits'
      ? `select from ${source.relation} s where ${id} = any (${arrayOf(source)}) order by ${id} for share`
      : `select from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any (${arrayOf(source)}) order by ${kitsKey} for share`;
  await session.query(statement, [keys]);
};

/** Brings the other store's rows of some keys up to the authoritative one. */
export const syncKeys = async (
  session: Session,
  source: BoundSource,
  direction: Direction,
  keys: readonly string[],
): Promise<void> => {
  const routine =
    direction === 'legacy-to-kits'
      ? syncToKitsName(source.source)
      : syncToLegacyName(source.source);
  await session.query(`select ${routine}(${arrayOf(source)}, ${arrayOf(source)})`, [keys]);
};

/**
 * Deletes the rows of some keys from `kits`, so that a synchronisation of them all at once succeeds
 * where one by one they stand in each other's way (two kits that swapped their numbers). Only for
 * `kits`: a deletion from a legacy table could cascade to tables that are not ours.
 */
export const deleteFromKits = async (
  session: Session,
  binding: Binding,
  source: BoundSource,
  keys: readonly string[],
): Promise<void> => {
  await session.query(
    `delete from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKeyExpression('k.', source.source, source.idType)} = any (${arrayOf(source)})`,
    [keys],
  );
};
