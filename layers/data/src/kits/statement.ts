import type { KitValues, NewValue } from '@unified-kits/domain';
import type { BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { written } from '../projection/projection.ts';

/** Collects the parameters of one statement. */
export class Parameters {
  readonly values: unknown[] = [];

  /** `$n` of a value. */
  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** A legacy column and the SQL of what it is to hold, in its own type. */
export interface Assignment {
  readonly column: CatalogColumn;
  readonly expression: string;
}

/** A point in time in a legacy column: those without a zone hold UTC. */
const instant = (time: string, { type, baseType }: CatalogColumn): string =>
  baseType === 'timestamp with time zone'
    ? `cast(${time} as ${type})`
    : `cast(${time} at time zone 'UTC' as ${type})`;

/**
 * Texts are assigned, so that one that is too long is refused; a cast would cut it. But only a cast pads a
 * `character`, and applies a domain's checks where the value goes to `kits`.
 */
const given = (value: NewValue, column: CatalogColumn, parameters: Parameters): string => {
  if (typeof value === 'object' && value !== null)
    return instant(
      'now' in value ? 'now()' : `cast(${parameters.add(value.at)} as timestamptz)`,
      column,
    );
  const text = `cast(${parameters.add(value)} as text)`;
  return column.isDomain || column.baseType === 'character'
    ? `cast(${text} as ${column.type})`
    : written(text, column);
};

/** What a change assigns, by legacy column. Columns that the database computes are left to it. */
export const assignments = (
  source: BoundSource,
  { fields, attributes }: KitValues,
  parameters: Parameters,
): readonly Assignment[] => [
  ...source.rules.flatMap(({ field, column }) => {
    const value = fields[field];
    return value === undefined || column.generated
      ? []
      : [{ column, expression: given(value, column, parameters) }];
  }),
  ...source.shown.flatMap(({ name, column }) => {
    const value = attributes[name];
    return value === undefined ? [] : [{ column, expression: given(value, column, parameters) }];
  }),
];
