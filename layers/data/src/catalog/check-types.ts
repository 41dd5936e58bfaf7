import type { OwnerIdType, SourceMapping } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { qualifiedName } from '../sql/identifier.ts';
import type { Mismatches } from './mismatches.ts';
import type { CatalogColumn, CatalogTable } from './read-table.ts';

const ID_TYPES = ['smallint', 'integer', 'bigint', 'uuid', 'text', 'character varying'];
const INTEGER_WIDTH: Readonly<Record<string, number>> = { smallint: 2, integer: 4, bigint: 8 };
const TEXTS = ['text', 'character varying'];

/** Legacy types that a unified column can hold and give back unchanged. */
export const LOSSLESS: Readonly<Record<string, (column: CatalogColumn) => boolean>> = {
  text: ({ baseType, typeKind }) =>
    typeKind === 'e' ||
    [
      'text',
      'character varying',
      'character',
      'name',
      'citext',
      'uuid',
      'smallint',
      'integer',
      'bigint',
      'numeric',
      'boolean',
    ].includes(baseType.split('.').at(-1) ?? ''),
  jsonb: ({ baseType }) => baseType === 'jsonb',
  timestamptz: ({ baseType }) =>
    ['timestamp with time zone', 'timestamp without time zone', 'date'].includes(baseType),
};

const ownerTypeFits = (column: CatalogColumn, wanted: OwnerIdType): boolean => {
  const [from, to] = [INTEGER_WIDTH[column.baseType], INTEGER_WIDTH[wanted]];
  if (from !== undefined && to !== undefined) return from <= to;
  return wanted === 'text' ? TEXTS.includes(column.baseType) : column.baseType === wanted;
};

/** Whether an owner's id, here or in the owners' own table, is of the type that `kits` is made with. */
export const checkOwner = (
  column: CatalogColumn | undefined,
  table: CatalogTable,
  wanted: OwnerIdType,
  option: string,
  mismatches: Mismatches,
) => {
  if (column !== undefined && !ownerTypeFits(column, wanted))
    mismatches.add(
      qualifiedName(table.schema, table.table),
      column.name,
      `has type ${column.type}, but target.${option} is ${wanted}; set target.${option} to the type of the organisation's own ids`,
    );
};

/**
 * Whether owners' ids can be compared with those that they are joined to: two collations cannot be, not
 * even for equality.
 *
 * @param wanted the other's collation as the catalog has it; null is the default, which `kits` has
 */
export const checkCollation = (
  column: CatalogColumn | undefined,
  table: CatalogTable,
  wanted: string | null,
  other: string,
  mismatches: Mismatches,
) => {
  if (column !== undefined && column.collation !== wanted)
    mismatches.add(
      qualifiedName(table.schema, table.table),
      column.name,
      `has collation ${column.collation ?? 'default'}, but is compared with ${other}, which has ${wanted ?? 'default'}; give both the same one`,
    );
};

/** A generated column takes no value, so a row could not come back as itself. */
export const checkWritable = (
  column: CatalogColumn | undefined,
  relation: string,
  mismatches: Mismatches,
) => {
  if (column?.generated === true)
    mismatches.add(relation, column.name, 'is a generated column, which cannot be written back');
};

/** Whether a column can be the key by which rows of both stores are matched. */
export const checkId = (id: CatalogColumn, relation: string, mismatches: Mismatches) => {
  if (!ID_TYPES.includes(id.baseType) || id.isDomain)
    mismatches.add(
      relation,
      id.name,
      `has type ${id.type}; an id column is ${ID_TYPES.join(', ')}`,
    );
  if (!id.deterministicCollation)
    mismatches.add(
      relation,
      id.name,
      'has a nondeterministic collation; two texts of one id could differ',
    );
};

/** Whether the mapping's generator is there and makes ids of the column's type. */
export const checkGenerator = async (
  session: Session,
  { id: { generator } }: SourceMapping,
  id: CatalogColumn,
  relation: string,
  mismatches: Mismatches,
) => {
  if (generator === undefined) return;
  const makes = generator.kind === 'uuid' ? ['uuid'] : Object.keys(INTEGER_WIDTH);
  if (![...makes, ...TEXTS].includes(id.baseType))
    mismatches.add(
      relation,
      id.name,
      `has type ${id.type}, for which a generator of kind "${generator.kind}" makes no ids`,
    );
  if (generator.kind === 'uuid') return;
  const { rowCount } = await session.query(
    `select from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = $2 and c.relkind = 'S'`,
    [generator.schema, generator.name],
  );
  if (rowCount === 0)
    mismatches.add(
      relation,
      id.name,
      `the mapping draws its ids from ${qualifiedName(generator.schema, generator.name)}, and there is no such sequence`,
    );
};
