import { KitRefused, type KitValues, type NewValue } from '@unified-kits/domain';
import type { BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';

/** How many characters a column holds; Postgres counts code points. */
const mostCharacters = ({ type, baseType }: CatalogColumn): number | undefined => {
  const modifier = /^character(?: varying)?\((\d+)\)$/.exec(type)?.[1];
  // A bare `character` holds one.
  return modifier === undefined ? (baseType === 'character' ? 1 : undefined) : Number(modifier);
};

const check = (field: string, value: NewValue | undefined, column: CatalogColumn): void => {
  if (typeof value !== 'string') return;
  const most = mostCharacters(column);
  if (most !== undefined && [...value].length > most)
    throw new KitRefused(field, `at most ${most} characters`);
};

/**
 * Refuses a text that the legacy column cannot hold, in every stage: in `kits` it would fit, and could never
 * be mirrored.
 *
 * @throws {KitRefused} naming the field.
 */
export const checkLengths = (source: BoundSource, { fields, attributes }: KitValues): void => {
  for (const { field, column } of source.rules) check(field, fields[field], column);
  for (const { name, column } of source.shown) check(name, attributes[name], column);
};
