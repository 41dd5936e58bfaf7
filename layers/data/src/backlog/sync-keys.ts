import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { kitsKeyExpression } from '../projection/projection.ts';
import { syncToKitsName, syncToLegacyName } from '../schema/sync-functions.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

export type Direction = 'legacy-to-kits' | 'kits-to-legacy';

const arrayOf = (source: BoundSource) => `$1::text[]::${source.idType}[]`;

/** Which of some keys the authoritative store has, and which it has not, since they were locked. */
export interface LockedKeys {
  readonly present: readonly string[];
  readonly absent: readonly string[];
}

/**
 * Locks some keys while a mirror is on, so that no writer's mirror can land between a drain's read and
 * its write and be overwritten with nothing left in the backlog to tell. Authoritative rows are locked
 * against change, in the order in which writers lock them; what a key without such a row has left in
 * the other store is locked instead. A row that is born later is its writer's to mirror, not the
 * drain's: it is in neither list.
 */
export const lockKeys = async (
  session: Session,
  binding: Binding,
  source: BoundSource,
  direction: Direction,
  keys: readonly string[],
): Promise<LockedKeys> => {
  const id = `s.${quoteIdentifier(source.id.name)}`;
  const kitsKey = kitsKeyExpression('k.', source.source, source.idType);
  const legacy = `select ${id}::text as key from ${source.relation} s where ${id} = any (${arrayOf(source)}) order by ${id}`;
  const kits = `select k.legacy_id as key from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any (${arrayOf(source)}) order by ${kitsKey}`;
  const [authoritative, other] = direction === 'legacy-to-kits' ? [legacy, kits] : [kits, legacy];
  const { rows } = await session.query(`${authoritative} for share`, [keys]);
  const present = new Set<string>(rows.map(({ key }) => key));
  const absent = keys.filter((key) => !present.has(key));
  if (absent.length > 0) await session.query(`${other} for update`, [absent]);
  return { present: [...present], absent };
};

/**
 * Brings the other store's rows up to the authoritative one: `keys` are upserted, `gone` deleted where
 * they are gone; null says that some of `keys` may be gone.
 */
export const syncKeys = async (
  session: Session,
  source: BoundSource,
  direction: Direction,
  keys: readonly string[],
  gone: readonly string[] | null,
): Promise<void> => {
  const routine =
    direction === 'legacy-to-kits'
      ? syncToKitsName(source.source)
      : syncToLegacyName(source.source);
  await session.query(`select ${routine}(${arrayOf(source)}, $2::text[]::${source.idType}[])`, [
    keys,
    gone,
  ]);
};
