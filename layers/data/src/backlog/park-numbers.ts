import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import type { Session } from '../connection/database.ts';
import { kitsKeyExpression } from '../projection/projection.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import type { Direction } from './sync-keys.ts';

const TEXTS = new Set(['text', 'character varying', 'citext']);

/** A number that no kit has, short enough for the column. */
const placeholder = (id: string, column: CatalogColumn): string => {
  const longest = /\((\d+)\)$/.exec(column.type)?.[1] ?? '33';
  return `cast(left('~' || md5(${id}::text), ${longest}) as ${column.type})`;
};

/**
 * Takes the kit numbers of some keys out of the way in the store that is written, so that a
 * synchronisation of them all at once succeeds where one by one they stand in each other's way (two
 * kits that swapped their numbers). The synchronisation that must follow in the same transaction gives
 * each its number. Rejected: deleting the rows, which could cascade to tables that are not ours.
 */
export const parkNumbers = async (
  session: Session,
  binding: Binding,
  source: BoundSource,
  direction: Direction,
  keys: readonly string[],
): Promise<void> => {
  const kitsKey = kitsKeyExpression('k.', source.source, source.idType);
  const given = `any ($1::text[]::${source.idType}[])`;
  if (direction === 'legacy-to-kits') {
    await session.query(
      `update ${binding.kits} k set kit_number = '~' || k.id where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${given}`,
      [keys],
    );
    return;
  }
  const rule = source.rules.find(({ field }) => field === 'kitNumber');
  if (rule === undefined || rule.column.generated) return;
  if (!TEXTS.has(rule.column.baseType.split('.').at(-1) ?? '')) return;
  const id = `s.${quoteIdentifier(source.id.name)}`;
  await session.query(
    `update ${source.relation} s set ${quoteIdentifier(rule.column.name)} = ${placeholder(id, rule.column)}
      where ${id} = ${given}
        and exists (select from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${id})`,
    [keys],
  );
};
