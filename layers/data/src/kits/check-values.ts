import {
  CreationUnsupported,
  KitRefused,
  type KitValues,
  type NewValue,
} from '@unified-kits/domain';
import type { BoundSource } from '../catalog/bind-mapping.ts';
import type { ColumnLimit } from '../catalog/legacy-limits.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';

/** A legacy column under the name that the API gives it, and what it is to hold. */
interface Given {
  readonly name: string;
  readonly column: CatalogColumn;
  readonly value: NewValue | undefined;
}

const givenBy = (source: BoundSource, { fields, attributes }: KitValues): readonly Given[] => [
  ...source.rules.map(({ field, column }) => ({ name: field, column, value: fields[field] })),
  ...source.shown.map(({ name, column }) => ({ name, column, value: attributes[name] })),
];

/** A `name` is cut by everything that takes it. */
const NAME_BYTES = 63;

const limitsOf = ({ catalog }: BoundSource): ReadonlyMap<string, ColumnLimit> =>
  new Map(catalog.limits.columns.map((limit) => [limit.name, limit]));

const check = ({ name, column, value }: Given, limit: ColumnLimit | undefined): void => {
  if (value === undefined) return;
  if (column.generated) throw new KitRefused(name, 'is computed by the database');
  if (value === null && limit?.required === true) throw new KitRefused(name, 'must have a value');
  if (typeof value !== 'string') return;
  const most = limit?.characters ?? undefined;
  // Postgres counts code points.
  if (most !== undefined && [...value].length > most)
    throw new KitRefused(name, `at most ${most} characters`);
  if (column.baseType === 'name' && Buffer.byteLength(value) > NAME_BYTES)
    throw new KitRefused(name, `at most ${NAME_BYTES} bytes`);
};

/**
 * Refuses a value that the legacy column cannot hold, in every stage: in `kits` it would fit, and could
 * never be mirrored.
 *
 * @throws {KitRefused} naming the field.
 */
export const checkValues = (source: BoundSource, values: KitValues): void => {
  const limits = limitsOf(source);
  for (const given of givenBy(source, values)) check(given, limits.get(given.column.name));
};

/** What a request can give, and so may have forgotten. */
const ASKED_FOR: ReadonlySet<string> = new Set(['kitType', 'orderId', 'metadata']);

/**
 * Refuses to make a kit whose legacy row would lack a value that it must have, or that only the legacy table
 * computes: in `kits` it could be born, and could never be mirrored, or would look another.
 *
 * @throws {KitRefused} where the request could have given the value.
 * @throws {CreationUnsupported} naming the column.
 */
export const checkCreatable = (source: BoundSource, values: KitValues): void => {
  const limits = limitsOf(source);
  const given = new Map(givenBy(source, values).map((one) => [one.column.name, one]));
  for (const { column } of source.rules)
    if (column.generated)
      throw new CreationUnsupported(
        `column "${column.name}" of ${source.relation} is computed by the legacy table alone: take its rule out of the mapping`,
      );
  for (const column of source.catalog.columns) {
    const one = given.get(column.name);
    const filled =
      limits.get(column.name)?.required !== true ||
      column.generated ||
      column.identity !== '' ||
      column.defaultExpression !== null ||
      column === source.ownerColumn ||
      (column === source.id && source.mapping.id.generator !== undefined) ||
      one?.value != null;
    if (filled) continue;
    if (
      one !== undefined &&
      (ASKED_FOR.has(one.name) || Object.hasOwn(source.mapping.api.attributes, one.name))
    )
      throw new KitRefused(one.name, 'must have a value');
    throw new CreationUnsupported(
      `column "${column.name}" of ${source.relation} must have a value: show it in the mapping's api.attributes, or give it a default`,
    );
  }
};
