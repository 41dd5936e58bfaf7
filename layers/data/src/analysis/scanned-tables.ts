import { SOURCES } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { CatalogColumn, CatalogTable } from '../catalog/read-table.ts';
import { readTable } from '../catalog/read-table.ts';
import type { Session } from '../connection/database.ts';
import { qualifiedName, quoteIdentifier } from '../sql/identifier.ts';
import { rowChecks } from './row-checks.ts';
import { keyType, plainCheck, type ScannedTable } from './scanned-table.ts';

/** A lookup of more rows than this is joined by its index: a hash of it for each range is not linear. */
const LARGE_LOOKUP_ROWS = 1_000_000;

const column = (table: CatalogTable, name: string): CatalogColumn => {
  const found = table.columns.find((candidate) => candidate.name === name);
  if (found === undefined)
    throw new Error(`${table.schema}.${table.table} has lost its column ${name}`);
  return found;
};

interface Lookup {
  readonly catalog: CatalogTable;
  readonly id: CatalogColumn;
}

/** The two tables in which owners are found. */
export interface Lookups {
  readonly users: Lookup;
  readonly practitioners: Lookup & { readonly userId: CatalogColumn };
}

/** Describes the tables of users and practitioners, which the binding has checked. */
export const readLookups = async (session: Session, { mapping }: Binding): Promise<Lookups> => {
  const { practitioners } = mapping.sources.practitioner_kits.owner;
  const read = async (schema: string, table: string) => {
    const found = await readTable(session, schema, table);
    if (found === undefined) throw new Error(`${schema}.${table} has gone`);
    return found;
  };
  const users = await read(mapping.users.schema, mapping.users.table);
  const lookup = await read(practitioners.schema, practitioners.table);
  return {
    users: { catalog: users, id: column(users, mapping.users.id) },
    practitioners: {
      catalog: lookup,
      id: column(lookup, practitioners.id),
      userId: column(lookup, practitioners.userId),
    },
  };
};

/** A left join to alias `o` that never doubles a row, also where the id looked up has no unique key. */
const joinOwner = ({ catalog, id }: Lookup, key: CatalogColumn): string => {
  const name = qualifiedName(catalog.schema, catalog.table);
  const owner = quoteIdentifier(id.name);
  const table = id.uniqueKey ? name : `(select distinct ${owner} from ${name})`;
  return ` left join ${table} o on o.${owner} = s.${quoteIdentifier(key.name)}`;
};

const isLarge = ({ catalog, id }: Lookup): boolean =>
  id.uniqueKey && catalog.estimatedRows > LARGE_LOOKUP_ROWS;

const unknownOwner = (lookup: Lookup, key: CatalogColumn): string =>
  `(o.${quoteIdentifier(lookup.id.name)} is null and s.${quoteIdentifier(key.name)} is not null)`;

/** SQL of a kit number as two numbers are compared: without case and surrounding space. */
const normalised = (number: CatalogColumn, whitespace: string): string =>
  `lower(btrim(s.${quoteIdentifier(number.name)}::text, ${whitespace}))`;

/** The column that holds a source's kit numbers. */
export const kitNumberColumn = (source: BoundSource): CatalogColumn => {
  const rule = source.rules.find(({ field }) => field === 'kitNumber');
  if (rule === undefined) throw new Error(`source ${source.source} has no kit number`);
  return rule.column;
};

const sourceTable = (source: BoundSource, owners: Lookup, whitespace: string): ScannedTable => {
  const number = kitNumberColumn(source);
  const key = source.ownerColumn;
  return {
    name: source.source,
    catalog: source.catalog,
    relation: source.relation,
    id: source.id,
    idType: source.idType,
    from: `${source.relation} s${joinOwner(owners, key)}`,
    largeLookup: isLarge(owners),
    unique: normalised(number, whitespace),
    missing: { code: 'KIT_NUMBER_MISSING', column: number.name },
    checks: [
      plainCheck('KIT_OWNER_MISSING', key, `s.${quoteIdentifier(key.name)} is null`),
      plainCheck('KIT_OWNER_UNKNOWN', key, unknownOwner(owners, key)),
      ...rowChecks(source),
    ],
  };
};

const practitionersTable = ({ users, practitioners }: Lookups): ScannedTable => {
  const { catalog, id, userId } = practitioners;
  const relation = qualifiedName(catalog.schema, catalog.table);
  return {
    name: 'practitioners',
    catalog,
    relation,
    id,
    idType: keyType(id),
    from: `${relation} s${joinOwner(users, userId)}`,
    largeLookup: isLarge(users),
    unique: `s.${quoteIdentifier(userId.name)}::text`,
    missing: { code: 'PRACTITIONER_WITHOUT_USER', column: userId.name },
    checks: [plainCheck('PRACTITIONER_USER_UNKNOWN', userId, unknownOwner(users, userId))],
  };
};

/** Every table whose rows are read, in the order of the pass. */
export const scannedTables = (
  binding: Binding,
  lookups: Lookups,
  whitespace: string,
): ScannedTable[] => [
  ...SOURCES.map((source) =>
    sourceTable(
      binding.sources[source],
      source === 'kit' ? lookups.users : lookups.practitioners,
      whitespace,
    ),
  ),
  practitionersTable(lookups),
];
