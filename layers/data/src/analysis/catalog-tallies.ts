import { type FindingSource, MOST_KEYS, SOURCES, type Tally } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn, CatalogTable } from '../catalog/read-table.ts';
import { ENGINE_ROLE, type Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import type { Lookups } from './scanned-tables.ts';
import { searchPathTallies } from './search-path-tallies.ts';

const names = (
  code: Tally['code'],
  source: FindingSource,
  keys: readonly string[],
  column?: string,
): Tally => ({ code, source, column, count: keys.length, keys: keys.slice(0, MOST_KEYS) });

const when = (
  holds: boolean,
  code: Tally['code'],
  source: FindingSource,
  table: CatalogTable,
  column?: CatalogColumn,
): Tally[] =>
  holds ? [names(code, source, [`${table.schema}.${table.table}`], column?.name)] : [];

const columnNames = (columns: readonly CatalogColumn[]) => columns.map(({ name }) => name);

/** What the catalog says about one legacy table. */
const tableTallies = (bound: BoundSource): Tally[] => {
  const { source, catalog, id, attributes, mapping } = bound;
  const isGenerated = mapping.id.generator !== undefined;
  return [
    ...when(
      catalog.kind === 'p' || catalog.hasChildren || catalog.hasParents,
      'PARTITIONED_OR_INHERITED',
      source,
      catalog,
    ),
    ...when(!id.uniqueKey, 'NO_UNIQUE_KEY', source, catalog, id),
    ...when(!id.notNull, 'ID_NULLABLE', source, catalog, id),
    ...when(
      id.identity === '' && id.defaultExpression === null && !isGenerated,
      'NO_ID_GENERATOR',
      source,
      catalog,
      id,
    ),
    ...when(catalog.persistence === 'u', 'UNLOGGED_TABLE', source, catalog),
    names('REWRITE_RULE', source, catalog.rules),
    names(
      'REFERENCED_BY',
      source,
      catalog.referencedBy.map(({ table, name }) => `${table} (${name})`),
    ),
    names(
      'CASCADING_REFERENCE',
      source,
      catalog.cascadingReferences.map(({ table, name }) => `${name} → ${table}`),
    ),
    names(
      'OWN_TRIGGER',
      source,
      catalog.triggers
        .filter(({ ours, enabled }) => !ours && enabled !== 'D')
        .map(({ name }) => name),
    ),
    names(
      'GENERATED_COLUMN',
      source,
      columnNames(catalog.columns.filter(({ generated }) => generated)),
    ),
    names(
      'IDENTITY_ALWAYS',
      source,
      columnNames(catalog.columns.filter(({ identity }) => identity === 'a')),
    ),
    names('LEGACY_ATTRIBUTES', source, columnNames(attributes)),
    names(
      'REQUIRED_WITHOUT_DEFAULT',
      source,
      columnNames(
        attributes.filter(
          ({ notNull, defaultExpression, identity }) =>
            notNull && defaultExpression === null && identity === '',
        ),
      ),
    ),
  ];
};

/** What the connected role may do with a table, and with its rows. */
interface Access {
  readonly readable: boolean;
  readonly passesOn: boolean;
}

const readAccess = async (session: Session, table: CatalogTable): Promise<Access> => {
  const { rows } = await session.query(
    `select has_table_privilege($1::oid, 'SELECT') and not row_security_active($1::oid) as readable,
            has_table_privilege($1::oid, 'SELECT WITH GRANT OPTION') as "passesOn"`,
    [table.oid],
  );
  return rows[0];
};

/**
 * Whether the engine's role sees every row, or the connected role can have it so. Since PostgreSQL 16
 * a role that may create roles can pass on the attribute if it has it itself.
 */
const engineBypasses = async (session: Session): Promise<boolean> => {
  const { rows } = await session.query(
    `select coalesce((select rolbypassrls or rolsuper from pg_roles where rolname = $1), false)
         or (select rolsuper or (rolcreaterole and rolbypassrls and current_setting('server_version_num')::int >= 160000)
               from pg_roles where rolname = current_user) as bypasses`,
    [ENGINE_ROLE],
  );
  return rows[0].bypasses;
};

/** Rows without an id, which no range of the key contains. */
const rowsWithoutId = async (session: Session, bound: BoundSource): Promise<Tally[]> => {
  if (bound.id.notNull || !bound.id.uniqueKey) return [];
  const column = quoteIdentifier(bound.id.name);
  const { rows } = await session.query(
    `select count(*)::int as n from (select from ${bound.relation} where ${column} is null limit 10000) missing`,
  );
  return [
    { code: 'ID_MISSING', source: bound.source, column: bound.id.name, count: rows[0].n, keys: [] },
  ];
};

/** Tables that a subscription writes. */
const subscribed = async (
  session: Session,
  tables: readonly CatalogTable[],
): Promise<ReadonlySet<string>> => {
  const { rows } = await session.query(
    'select distinct srrelid::text as oid from pg_subscription_rel where srrelid = any ($1::oid[])',
    [tables.map(({ oid }) => oid)],
  );
  return new Set(rows.map(({ oid }) => oid));
};

/**
 * What the catalog shows of the edges that real databases have, and which tables' rows can be read at
 * all: a table without a key cannot be read in ranges, one under row security not in whole.
 */
export const catalogTallies = async (
  session: Session,
  binding: Binding,
  { users, practitioners }: Lookups,
): Promise<{ tallies: Tally[]; unreadable: ReadonlySet<string> }> => {
  const tables: readonly (readonly [FindingSource, CatalogTable, boolean])[] = [
    ...SOURCES.map(
      (source) =>
        [source, binding.sources[source].catalog, binding.sources[source].id.uniqueKey] as const,
    ),
    ['practitioners', practitioners.catalog, practitioners.id.uniqueKey],
    ['users', users.catalog, true],
  ];
  const bypasses = await engineBypasses(session);
  const tallies: Tally[] = SOURCES.flatMap((source) => tableTallies(binding.sources[source]));
  const replicated = await subscribed(
    session,
    tables.map(([, table]) => table),
  );
  for (const [source, table] of tables)
    if (source !== 'users' && source !== 'practitioners')
      tallies.push(...when(replicated.has(table.oid), 'SUBSCRIBED_TABLE', source, table));
  tallies.push(...(await searchPathTallies(session, binding)));
  const closed = new Set<string>();
  for (const [source, table, keyed] of tables) {
    const access = await readAccess(session, table);
    const masters = source === 'users' ? table.ownedByUs || access.passesOn : table.ownedByUs;
    tallies.push(
      ...when(!masters, 'NOT_OWNER', source, table),
      ...when(table.rowSecurity && !bypasses, 'ROW_SECURITY', source, table),
    );
    if (!keyed || !access.readable) closed.add(source);
  }
  const unreadable = new Set(closed);
  if (closed.has('users')) unreadable.add('kit').add('practitioners');
  if (closed.has('practitioners')) unreadable.add('practitioner_kits');
  for (const [source, table] of tables)
    if (source !== 'users')
      tallies.push(...when(unreadable.has(source), 'NOT_EXAMINED', source, table));
  for (const source of SOURCES)
    if (!unreadable.has(source))
      tallies.push(...(await rowsWithoutId(session, binding.sources[source])));
  return { tallies, unreadable };
};
