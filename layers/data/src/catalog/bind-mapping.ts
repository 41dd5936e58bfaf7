import {
  digest,
  type Mapping,
  MappingMismatch,
  mappingDigest,
  SHARED_COLUMNS,
  SHARED_FIELDS,
  type SharedField,
  type ShownColumn,
  SOURCES,
  type Source,
  type SourceMapping,
} from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { qualifiedName } from '../sql/identifier.ts';
import {
  checkCollation,
  checkGenerator,
  checkId,
  checkOwner,
  checkWritable,
  LOSSLESS,
} from './check-types.ts';
import { Mismatches } from './mismatches.ts';
import { NATIVE_JSON } from './native-json.ts';
import { type CatalogColumn, type CatalogTable, readTable } from './read-table.ts';

/** A shared column and the legacy column that feeds it. */
export interface BoundRule {
  readonly field: SharedField;
  readonly column: CatalogColumn;
  readonly values: Readonly<Record<string, string>> | undefined;
}

/** One source of the mapping, with what the live schema says of it. */
export interface BoundSource {
  readonly source: Source;
  readonly mapping: SourceMapping;
  readonly catalog: CatalogTable;
  /** The legacy table, qualified and quoted. */
  readonly relation: string;
  readonly id: CatalogColumn;
  /** The type in which ids are compared and sorted. */
  readonly idType: string;
  readonly ownerColumn: CatalogColumn;
  readonly rules: readonly BoundRule[];
  /** Columns that no rule names; generated ones are left out, for they come back by themselves. */
  readonly attributes: readonly CatalogColumn[];
  /** Of these, what the API shows. */
  readonly shown: readonly ShownAttribute[];
}

/** A column of `legacy_attributes` under its name in the API. */
export interface ShownAttribute {
  readonly name: string;
  readonly column: CatalogColumn;
}

/** A mapping bound to a live schema: what every statement is generated from. */
export interface Binding {
  readonly mapping: Mapping;
  readonly sources: Readonly<Record<Source, BoundSource>>;
  /** `kits`, qualified and quoted. */
  readonly kits: string;
  readonly mappingDigest: string;
  /** Changes with any column of the legacy tables: the generated functions are bound to it. */
  readonly columnsDigest: string;
  /** Changes with their triggers and row security too: a signed report is bound to it. */
  readonly schemaDigest: string;
}

const columnOf = (
  table: CatalogTable,
  name: string,
  role: string,
  mismatches: Mismatches,
): CatalogColumn | undefined => {
  const column = table.columns.find((candidate) => candidate.name === name);
  if (column === undefined)
    mismatches.add(
      qualifiedName(table.schema, table.table),
      name,
      `there is no such column (the mapping uses it as ${role})`,
    );
  return column;
};

const bindRule = (
  field: SharedField,
  rule: { column: string; values?: Readonly<Record<string, string>> | undefined },
  table: CatalogTable,
  mismatches: Mismatches,
): BoundRule | undefined => {
  const name = qualifiedName(table.schema, table.table);
  const column = columnOf(table, rule.column, field, mismatches);
  if (column === undefined) return undefined;
  const { type } = SHARED_COLUMNS[field];
  if (LOSSLESS[type]?.(column) !== true)
    mismatches.add(
      name,
      column.name,
      `has type ${column.type}, which kits.${SHARED_COLUMNS[field].column} (${type}) cannot give back unchanged; leave it out of the mapping and it is kept in legacy_attributes`,
    );
  if (rule.values !== undefined) {
    if (type !== 'text')
      mismatches.add(
        name,
        column.name,
        `has a value map, but kits.${SHARED_COLUMNS[field].column} is not text`,
      );
    for (const label of column.enumLabels ?? [])
      if (!Object.hasOwn(rule.values, label))
        mismatches.add(
          name,
          column.name,
          `enum ${column.type} has the value '${label}', which the value map does not name`,
        );
    if (column.enumLabels !== null)
      for (const value of Object.keys(rule.values))
        if (!column.enumLabels.includes(value))
          mismatches.add(
            name,
            column.name,
            `the value map names '${value}', which is not a value of enum ${column.type}`,
          );
  }
  return { field, column, values: rule.values };
};

/** The JSON type that a kept column comes out with. */
const jsonTypeOf = ({ baseType }: CatalogColumn): ShownColumn['type'] => {
  if (baseType === 'jsonb') return 'json';
  if (baseType === 'boolean') return 'boolean';
  return NATIVE_JSON.has(baseType) ? 'number' : 'string';
};

const bindShown = (
  rules: SourceMapping,
  attributes: readonly CatalogColumn[],
  relation: string,
  mismatches: Mismatches,
): ShownAttribute[] =>
  Object.entries(rules.api.attributes).flatMap(([name, { column: wanted, type }]) => {
    const column = attributes.find((candidate) => candidate.name === wanted);
    if (column === undefined) {
      mismatches.add(
        relation,
        wanted,
        `there is no such column that can be written (api.attributes.${name} shows it)`,
      );
      return [];
    }
    const actual = jsonTypeOf(column);
    if (actual !== type)
      mismatches.add(
        relation,
        wanted,
        `has type ${column.type}, which is a ${actual} in JSON; api.attributes.${name} says ${type}`,
      );
    return [{ name, column }];
  });

const bindSource = (
  mapping: Mapping,
  source: Source,
  table: CatalogTable,
  mismatches: Mismatches,
): BoundSource | undefined => {
  const rules = mapping.sources[source];
  const relation = qualifiedName(table.schema, table.table);
  if (table.kind !== 'r' && table.kind !== 'p') {
    mismatches.add(relation, undefined, 'is not a table');
    return undefined;
  }
  const id = columnOf(table, rules.id.column, 'id', mismatches);
  if (id !== undefined) checkId(id, relation, mismatches);
  checkWritable(id, relation, mismatches);
  const ownerName = rules.owner.type === 'client' ? rules.owner.userId : rules.owner.practitionerId;
  const ownerColumn = columnOf(table, ownerName, 'owner', mismatches);
  checkWritable(ownerColumn, relation, mismatches);
  if (rules.owner.type === 'client')
    checkOwner(ownerColumn, table, mapping.target.userIdType, 'userIdType', mismatches);
  else
    checkOwner(
      ownerColumn,
      table,
      mapping.target.practitionerIdType,
      'practitionerIdType',
      mismatches,
    );
  const bound = SHARED_FIELDS.flatMap((field) => {
    const rule = rules.columns[field];
    return rule === undefined ? [] : (bindRule(field, rule, table, mismatches) ?? []);
  });
  if (id === undefined || ownerColumn === undefined) return undefined;
  const named = new Set([id.name, ownerColumn.name, ...bound.map((rule) => rule.column.name)]);
  const attributes = table.columns.filter((column) => !named.has(column.name) && !column.generated);
  return {
    source,
    mapping: rules,
    catalog: table,
    relation,
    id,
    idType: id.baseType === 'character varying' ? 'text' : id.baseType,
    ownerColumn,
    rules: bound,
    attributes,
    shown: bindShown(rules, attributes, relation, mismatches),
  };
};

const tableOf = async (
  session: Session,
  schema: string,
  table: string,
  role: string,
  mismatches: Mismatches,
) => {
  const found = await readTable(session, schema, table);
  if (found === undefined)
    mismatches.add(
      qualifiedName(schema, table),
      undefined,
      `there is no such table (the mapping uses it as ${role})`,
    );
  return found;
};

/** What the generated SQL depends on: not the order of columns, in which one that was dropped cannot come back. */
const columnsOf = ({ schema, table, kind, columns }: CatalogTable) => ({
  schema,
  table,
  kind,
  columns: columns.toSorted((one, other) => (one.name < other.name ? -1 : 1)),
});

/** What a signed report binds to besides: not sizes, counts, or triggers of our own. */
const shapeOf = (table: CatalogTable) => ({
  ...columnsOf(table),
  rowSecurity: table.rowSecurity,
  triggers: table.triggers
    .filter((trigger) => !trigger.ours)
    .map(({ name, definition }) => ({ name, definition })),
});

/** Legacy tables as they were at some time, in the order of SOURCES. */
export type LegacyTables = readonly CatalogTable[];

/**
 * Binds a mapping to the live schema.
 *
 * @param known legacy tables to bind it to instead
 * @throws {MappingMismatch} listing every mismatch at once: table, column, type and why.
 */
export const bindMapping = async (
  session: Session,
  mapping: Mapping,
  known: LegacyTables = [],
): Promise<Binding> => {
  const mismatches = new Mismatches();
  const bound = {} as Record<Source, BoundSource>;
  const tables: CatalogTable[] = [];
  for (const source of SOURCES) {
    const { schema, table } = mapping.sources[source];
    const catalog =
      known.find((one) => one.schema === schema && one.table === table) ??
      (await tableOf(session, schema, table, `source ${source}`, mismatches));
    if (catalog === undefined) continue;
    tables.push(catalog);
    const one = bindSource(mapping, source, catalog, mismatches);
    if (one === undefined) continue;
    bound[source] = one;
    await checkGenerator(session, one.mapping, one.id, one.relation, mismatches);
  }
  const users = await tableOf(
    session,
    mapping.users.schema,
    mapping.users.table,
    'users',
    mismatches,
  );
  const usersId =
    users === undefined
      ? undefined
      : columnOf(users, mapping.users.id, 'the id of a user', mismatches);
  if (users !== undefined)
    checkOwner(usersId, users, mapping.target.userIdType, 'userIdType', mismatches);
  const likeUsers = (column: CatalogColumn | undefined, table: CatalogTable) => {
    if (usersId !== undefined)
      checkCollation(column, table, usersId.collation, 'the id of a user', mismatches);
  };
  if (bound.kit !== undefined) likeUsers(bound.kit.ownerColumn, bound.kit.catalog);
  const kitsOfPractitioners = bound.practitioner_kits;
  if (kitsOfPractitioners !== undefined)
    checkCollation(
      kitsOfPractitioners.ownerColumn,
      kitsOfPractitioners.catalog,
      null,
      'kits.practitioner_id',
      mismatches,
    );
  const { practitioners } = mapping.sources.practitioner_kits.owner;
  const lookup = await tableOf(
    session,
    practitioners.schema,
    practitioners.table,
    'practitioners',
    mismatches,
  );
  if (lookup !== undefined) {
    const id = columnOf(lookup, practitioners.id, 'the id of a practitioner', mismatches);
    checkOwner(id, lookup, mapping.target.practitionerIdType, 'practitionerIdType', mismatches);
    const userId = columnOf(lookup, practitioners.userId, "a practitioner's user", mismatches);
    checkOwner(userId, lookup, mapping.target.userIdType, 'userIdType', mismatches);
    likeUsers(userId, lookup);
    checkCollation(id, lookup, null, 'kits.practitioner_id', mismatches);
    if (id !== undefined && !id.uniqueKey)
      mismatches.add(
        qualifiedName(lookup.schema, lookup.table),
        id.name,
        'has no unique index, so a practitioner kit could have several users',
      );
  }
  if (mismatches.found.length > 0)
    throw new MappingMismatch(
      `mapping "${mapping.name}" does not match the database in ${mismatches.found.length} place${mismatches.found.length === 1 ? '' : 's'}:\n${mismatches.found.map((line) => `- ${line}`).join('\n')}`,
    );
  return {
    mapping,
    sources: bound,
    kits: qualifiedName(mapping.target.schema, 'kits'),
    mappingDigest: mappingDigest(mapping),
    columnsDigest: digest(tables.map(columnsOf)),
    schemaDigest: digest(tables.map(shapeOf)),
  };
};
