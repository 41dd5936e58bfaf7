import { canonicalId } from '@unified-kits/domain';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

const TEXTS = new Set(['text', 'character varying', 'name']);
const DECIMAL = /^-?\d{1,100}(?:\.\d{1,100})?$/;

/**
 * SQL that finds a kit number in a column of a legacy table, alias `s`, by the column's index; undefined for a
 * number that the column cannot hold. The two tables' columns may differ: a cast to the other's own type would
 * end with an error, or cut a longer number to one that is there.
 *
 * @param parameter SQL of the number as text
 */
export const numberMatch = (
  { name, baseType }: CatalogColumn,
  number: string,
  parameter: string,
): string | undefined => {
  const column = `s.${quoteIdentifier(name)}`;
  if (TEXTS.has(baseType)) return `${column} = ${parameter}`;
  if (baseType === 'character') return `${column} = cast(${parameter} as bpchar)`;
  if (baseType.split('.').at(-1) === 'citext')
    return `${column} = cast(${parameter} as ${baseType})`;
  if (['smallint', 'integer', 'bigint', 'uuid'].includes(baseType))
    return canonicalId(number, baseType) === number
      ? `${column} = cast(${parameter} as ${baseType})`
      : undefined;
  // 1.0 and 1.00 are two numbers in `kits`.
  return baseType === 'numeric' && DECIMAL.test(number)
    ? `${column} = cast(${parameter} as numeric) and ${column}::text = ${parameter}`
    : undefined;
};
