import { canonicalId } from '@unified-kits/domain';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

const TEXTS = new Set(['text', 'character varying', 'name']);
const EXACT = new Set(['smallint', 'integer', 'bigint', 'uuid']);
const DECIMAL = /^-?\d{1,100}(?:\.\d{1,100})?$/;

const isCitext = (baseType: string): boolean => baseType.split('.').at(-1) === 'citext';

/**
 * Whether a column of a legacy table can hold a kit number. The two tables' columns may differ: a cast to the
 * other's own type would end with an error.
 */
export const canHoldNumber = ({ baseType }: CatalogColumn, number: string): boolean => {
  if (EXACT.has(baseType)) return canonicalId(number, baseType) === number;
  return baseType === 'numeric'
    ? DECIMAL.test(number)
    : TEXTS.has(baseType) || baseType === 'character' || isCitext(baseType);
};

/**
 * SQL that finds a kit number in a column of a legacy table, alias `s`, by the column's index; undefined where
 * no index of its type could.
 *
 * @param parameter SQL of a number that the column can hold, as text; a cast to the column's own type would cut one that is too long
 */
export const numberIs = (
  { name, baseType }: CatalogColumn,
  parameter: string,
): string | undefined => {
  const column = `s.${quoteIdentifier(name)}`;
  if (TEXTS.has(baseType)) return `${column} = ${parameter}`;
  if (baseType === 'character') return `${column} = cast(${parameter} as bpchar)`;
  // Where its schema is not on the search_path, `=` would compare texts, which its index does not know.
  if (isCitext(baseType)) {
    const schema = baseType.slice(0, Math.max(0, baseType.lastIndexOf('.')));
    const equals = schema === '' ? '=' : `operator(${schema}.=)`;
    return `${column} ${equals} cast(${parameter} as ${baseType})`;
  }
  if (EXACT.has(baseType)) return `${column} = cast(${parameter} as ${baseType})`;
  // 1.0 and 1.00 are two numbers in `kits`.
  return baseType === 'numeric'
    ? `${column} = cast(${parameter} as numeric) and ${column}::text = ${parameter}`
    : undefined;
};

/**
 * The same for one number.
 *
 * @returns undefined for a number that the column cannot hold
 */
export const numberMatch = (
  column: CatalogColumn,
  number: string,
  parameter: string,
): string | undefined => (canHoldNumber(column, number) ? numberIs(column, parameter) : undefined);
