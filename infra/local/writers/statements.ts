import { type BoundSource, quoteIdentifier, quoteLiteral } from '@unified-kits/data';
import { SHARED_COLUMNS, SHARED_FIELDS, type Store } from '@unified-kits/domain';
import type { WriteShape } from './write-shape.ts';

/** The statements of one source in one store. Parameters: see each. Every one returns the legacy id as `key`. */
export interface StoreStatements {
  /** $1 key, $2 token, and $3 status where the shape has statuses */
  readonly update: string;
  /** $1 key of the row to copy, $2 token, $3 kit number, and $4 status where the shape has statuses */
  readonly insert: string | undefined;
  /** $1 key */
  readonly delete: string;
  /** $1 keys; returns `key`, `token`, `status` and `number`. */
  readonly read: string;
  /** $1 kit numbers; the same. */
  readonly readByNumber: string;
}

const columnOf = (bound: BoundSource, field: string) =>
  bound.rules.find((rule) => rule.field === field)?.column;

const nowIn = (type: string): string | undefined => {
  if (type.startsWith('timestamp') && type.endsWith('with time zone')) return 'clock_timestamp()';
  if (type.startsWith('timestamp')) return `(clock_timestamp() at time zone 'UTC')`;
  return undefined;
};

const idGenerator = (bound: BoundSource): string | undefined => {
  const { generator } = bound.mapping.id;
  if (bound.id.identity !== '' || bound.id.defaultExpression !== null) return undefined;
  if (generator?.kind === 'uuid') return 'gen_random_uuid()';
  return generator?.kind === 'sequence'
    ? `nextval(${quoteLiteral(`${quoteIdentifier(generator.schema)}.${quoteIdentifier(generator.name)}`)})`
    : undefined;
};

const legacyStatements = (shape: WriteShape): StoreStatements => {
  const { bound, token, statuses } = shape;
  const id = quoteIdentifier(bound.id.name);
  const status = columnOf(bound, 'status');
  const number = columnOf(bound, 'kitNumber');
  const withStatus = statuses.length > 0 && status !== undefined;
  const values = new Map<string, string>([[token.legacyColumn, '$2::text']]);
  const statusValue = (parameter: string) => `cast(${parameter}::text as ${status?.type})`;
  if (withStatus) values.set(status.name, statusValue('$3'));
  const updatedAt = columnOf(bound, 'updatedAt');
  const touched = updatedAt === undefined ? undefined : nowIn(updatedAt.type);
  if (updatedAt !== undefined && touched !== undefined) values.set(updatedAt.name, touched);
  const set = [...values].map(([name, value]) => `${quoteIdentifier(name)} = ${value}`).join(', ');

  const created = columnOf(bound, 'createdAt');
  const born = created === undefined ? undefined : nowIn(created.type);
  const cloned = new Map<string, string>();
  for (const column of bound.catalog.columns) {
    if (column.generated || column.name === bound.id.name) continue;
    // A unique value cannot be copied; where the column must have one, the try at the start fails.
    cloned.set(column.name, column.uniqueKey ? 'null' : `t.${quoteIdentifier(column.name)}`);
  }
  for (const [name, value] of values) cloned.set(name, value);
  if (created !== undefined && born !== undefined) cloned.set(created.name, born);
  if (withStatus) cloned.set(status.name, statusValue('$4'));
  if (number !== undefined) cloned.set(number.name, `cast($3::text as ${number.type})`);
  const generated = idGenerator(bound);
  if (generated !== undefined) cloned.set(bound.id.name, generated);

  const read = (where: string) =>
    `select ${id}::text as key, ${quoteIdentifier(token.legacyColumn)}::text as token, ${status === undefined ? 'null' : quoteIdentifier(status.name)}::text as status, ${number === undefined ? 'null' : quoteIdentifier(number.name)}::text as number from ${bound.relation} where ${where}`;
  return {
    update: `update ${bound.relation} set ${set} where ${id} = cast($1::text as ${bound.idType}) returning ${id}::text as key`,
    insert: shape.inserts
      ? `insert into ${bound.relation} (${[...cloned.keys()].map(quoteIdentifier).join(', ')}) select ${[...cloned.values()].join(', ')} from ${bound.relation} t where t.${id} = cast($1::text as ${bound.idType}) returning ${id}::text as key`
      : undefined,
    delete: `delete from ${bound.relation} where ${id} = cast($1::text as ${bound.idType}) returning ${id}::text as key`,
    read: read(`${id} = any (cast($1::text[] as ${bound.idType}[]))`),
    readByNumber: read(
      `${number === undefined ? 'null' : quoteIdentifier(number.name)}::text = any ($1::text[])`,
    ),
  };
};

const kitsStatements = (shape: WriteShape): StoreStatements => {
  const { bound, token, statuses, kits } = shape;
  const source = quoteLiteral(shape.source);
  const values = new Map<string, string>([['updated_at', 'clock_timestamp()']]);
  if (statuses.length > 0) values.set('status', '$3::text');
  const attribute = `jsonb_build_object(${quoteLiteral(token.legacyColumn)}, $2::text)`;
  if (token.kitsColumn === undefined)
    values.set('legacy_attributes', `legacy_attributes || ${attribute}`);
  else values.set(token.kitsColumn, '$2::text');
  const set = [...values].map(([name, value]) => `${quoteIdentifier(name)} = ${value}`).join(', ');

  const unique = bound.attributes.filter(({ uniqueKey }) => uniqueKey).map(({ name }) => name);
  const copied = `t.legacy_attributes - array[${unique.map(quoteLiteral).join(', ')}]::text[]`;
  const cloned = new Map<string, string>([
    ...['owner_type', 'user_id', 'practitioner_id'].map((name): [string, string] => [
      name,
      `t.${name}`,
    ]),
    ...SHARED_FIELDS.map((field): [string, string] => {
      const { column } = SHARED_COLUMNS[field];
      return [column, `t.${column}`];
    }),
    ['legacy_attributes', copied],
    ['created_at', 'clock_timestamp()'],
    ...values,
    ['kit_number', '$3::text'],
  ]);
  if (statuses.length > 0) cloned.set('status', '$4::text');
  if (token.kitsColumn === undefined)
    cloned.set('legacy_attributes', `(${copied}) || ${attribute}`);

  const tokenRead =
    token.kitsColumn === undefined
      ? `legacy_attributes ->> ${quoteLiteral(token.legacyColumn)}`
      : quoteIdentifier(token.kitsColumn);
  const read = (where: string) =>
    `select legacy_id as key, ${tokenRead} as token, status, kit_number as number from ${kits} where source = ${source} and ${where}`;
  const one = `source = ${source} and legacy_id = $1::text`;
  return {
    update: `update ${kits} set ${set} where ${one} returning legacy_id as key`,
    insert: shape.inserts
      ? `insert into ${kits} (${[...cloned.keys()].map(quoteIdentifier).join(', ')}) select ${[...cloned.values()].join(', ')} from ${kits} t where t.source = ${source} and t.legacy_id = $1::text returning legacy_id as key`
      : undefined,
    delete: `delete from ${kits} where ${one} returning legacy_id as key`,
    read: read('legacy_id = any ($1::text[])'),
    readByNumber: read('kit_number = any ($1::text[])'),
  };
};

/** A source's statements in both stores. The status of `read` is in the store's own vocabulary. */
export const storeStatements = (shape: WriteShape): Readonly<Record<Store, StoreStatements>> => ({
  legacy: legacyStatements(shape),
  kits: kitsStatements(shape),
});

/** A unified status in a store's own words. */
export const statusIn = (shape: WriteShape, store: Store, unified: string): string =>
  store === 'kits'
    ? unified
    : (shape.statuses.find((pair) => pair.unified === unified)?.legacy ?? unified);
