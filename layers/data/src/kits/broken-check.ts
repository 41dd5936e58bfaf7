import type { Projection } from '../projection/projection.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

/** What is said of a value that the database refuses, whichever table it was. */
export const REFUSED_VALUE = 'the database refuses this value';

/** SQL of whether a row of `kits`, alias `k`, would be refused by a CHECK of its legacy table. */
export const brokenCheck = ({ backward, source }: Projection): string => {
  const { columns, limits } = source.catalog;
  const types = new Map(columns.map(({ name, type }) => [name, type]));
  const values = new Map(backward.map(({ column, expression }) => [column, expression]));
  const checks = limits.checks.filter((check) => check.columns.every((name) => values.has(name)));
  if (checks.length === 0) return 'false';
  const row = [...new Set(checks.flatMap((check) => check.columns))].map(
    (name) => `cast(${values.get(name)} as ${types.get(name)}) as ${quoteIdentifier(name)}`,
  );
  return `(select ${checks.map(({ expression }) => `(${expression}) is false`).join(' or ')} from (select ${row.join(', ')}) legacy_row)`;
};
