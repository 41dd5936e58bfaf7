import { qualifiedName, quoteIdentifier } from '@unified-kits/data';
import type { MappingInput, OwnerIdType, SharedField, Source } from '@unified-kits/domain';
import fc from 'fast-check';
import {
  type ColumnKind,
  EXTRA_KINDS,
  ID_TYPES,
  identifier,
  JSON_KINDS,
  KIT_NUMBER_TYPES,
  SHORT,
  TEXT_KINDS,
  TIME_KINDS,
  TYPES,
  text,
} from './generated-values.ts';

/** A column of a generated legacy table, and what a test may write into it. */
export interface GeneratedColumn {
  readonly name: string;
  readonly declaration: string;
  readonly role: 'id' | 'owner' | 'generated' | 'identity' | 'extra' | SharedField;
  /** Another value that the column takes; absent where none may be written. */
  readonly other: string | null | undefined;
}

export interface GeneratedTable {
  readonly source: Source;
  readonly relation: string;
  readonly columns: readonly GeneratedColumn[];
  /** Text of each column that is not generated, in their order. */
  readonly rows: readonly (readonly (string | null)[])[];
  readonly tableName: string;
}

/** A legacy schema, its rows, and the mapping that fits it. */
export interface GeneratedSchema {
  readonly ddl: string;
  readonly mapping: MappingInput;
  readonly tables: Readonly<Record<Source, GeneratedTable>>;
  readonly owners: {
    readonly users: string;
    readonly practitioners: string;
    readonly userIds: readonly string[];
    readonly practitionerIds: readonly string[];
  };
}

const ROWS = 12;
const OWNERS = 4;
const OWNER_TYPES: Readonly<Record<string, OwnerIdType>> = {
  uuid: 'uuid',
  bigint: 'bigint',
  integer: 'integer',
  smallint: 'integer',
  text: 'text',
  'varchar(60)': 'text',
};
const UNIFIED = ['created', 'registered', 'completed', "it's"] as const;
const OPTIONAL: Readonly<Partial<Record<SharedField, readonly ColumnKind[]>>> = {
  kitType: TEXT_KINDS,
  orderId: TEXT_KINDS,
  metadata: JSON_KINDS,
  registeredAt: TIME_KINDS,
  collectedAt: TIME_KINDS,
  receivedAt: TIME_KINDS,
  resultedAt: TIME_KINDS,
  createdAt: TIME_KINDS,
  updatedAt: TIME_KINDS,
};

interface Drawn {
  readonly role: GeneratedColumn['role'];
  readonly type: string;
  readonly values: fc.Arbitrary<string | null>;
  readonly unwritable?: boolean;
  readonly valueMap?: Record<string, string> | undefined;
}

/** Statuses in an enum, in texts or in numbers, with several legacy values for one unified one. */
const status = (enumName: string): fc.Arbitrary<Drawn & { readonly enumLabels: string[] }> =>
  fc
    .record({
      as: fc.constantFrom('enum', 'text', 'varchar(30)', 'char(30)', 'integer'),
      words: fc.uniqueArray(
        text.map((word) => [...word].slice(0, 8).join('').trimEnd()),
        { minLength: 2, maxLength: 6 },
      ),
      mapped: fc.boolean(),
      to: fc.array(fc.constantFrom(...UNIFIED), { minLength: 6, maxLength: 6 }),
    })
    .map(({ as, words, mapped, to }) => {
      const vocabulary = as === 'integer' ? words.map((_, n) => String(10 - n)) : words;
      return {
        role: 'status' as const,
        type: as === 'enum' ? `@.${quoteIdentifier(enumName)}` : as,
        enumLabels: as === 'enum' ? vocabulary : [],
        values: fc.constantFrom(...vocabulary),
        valueMap: mapped
          ? Object.fromEntries(vocabulary.map((word, n) => [word, to[n] ?? 'created']))
          : undefined,
      };
    });

const kindOf = (role: Drawn['role'], kinds: readonly ColumnKind[]): fc.Arbitrary<Drawn> =>
  fc.constantFrom(...kinds).map(({ type, values }) => ({
    role,
    type,
    values: fc.option(values, { freq: 4 }),
  }));

const literal = (value: string) => `'${value.replaceAll("'", "''")}'`;
const names = (count: number) => fc.uniqueArray(identifier, { minLength: count, maxLength: count });

const table = (
  source: Source,
  { types, schema, ownerType, ownerIds }: Place,
): fc.Arbitrary<GeneratedTable & { columnsDdl: string; enumDdl: string; rules: Rules }> => {
  const first = source === 'kit' ? 0 : 1000;
  const optional = Object.entries(OPTIONAL).map(([field, kinds]) =>
    fc.option(kindOf(field as SharedField, kinds), { freq: 2 }),
  );
  return fc
    .record({
      id: fc.constantFrom(...Object.keys(ID_TYPES)),
      idIdentity: fc.boolean(),
      kitNumber: fc.constantFrom(...Object.keys(KIT_NUMBER_TYPES)),
      status: status(`Status of ${source}`),
      optional: fc.tuple(...optional),
      extras: fc.array(kindOf('extra', EXTRA_KINDS), { minLength: 4, maxLength: 9 }),
      short: fc.boolean(),
      generated: fc.boolean(),
      identity: fc.boolean(),
      owners: fc.array(fc.constantFrom(...ownerIds), { minLength: ROWS + 1, maxLength: ROWS + 1 }),
      names: names(30),
      tableName: identifier,
    })
    .chain((drawn) => {
      const identityId = drawn.idIdentity && ['smallint', 'integer', 'bigint'].includes(drawn.id);
      const sequence = (values: Readonly<Record<string, (n: number) => string>>, type: string) =>
        fc.constant(Array.from({ length: ROWS + 1 }, (_, n) => values[type]?.(first + n) ?? ''));
      const columns: (Drawn & { series?: fc.Arbitrary<string[]> })[] = [
        {
          role: 'id',
          type: `${drawn.id} ${identityId ? 'generated always as identity ' : ''}primary key`,
          values: fc.constant(null),
          series: sequence(ID_TYPES, drawn.id),
        },
        {
          role: 'owner',
          type: ownerType,
          values: fc.constant(null),
          series: fc.constant(drawn.owners),
        },
        {
          role: 'kitNumber',
          type: drawn.kitNumber,
          values: fc.constant(null),
          series: sequence(KIT_NUMBER_TYPES, drawn.kitNumber),
        },
        drawn.status,
        ...drawn.optional.filter((column) => column !== null),
        ...drawn.extras,
        ...(drawn.short ? [{ role: 'extra' as const, ...SHORT }] : []),
        ...(drawn.identity && !identityId
          ? [
              {
                role: 'identity' as const,
                type: 'bigint generated always as identity',
                values: fc.bigInt({ min: 1n, max: 10n ** 18n }).map(String),
              },
            ]
          : []),
        ...(drawn.generated
          ? [
              {
                role: 'generated' as const,
                type: `text generated always as (md5((${quoteIdentifier(drawn.names[1] ?? '')})::text)) stored`,
                values: fc.constant(null),
              },
            ]
          : []),
      ];
      const written = columns.filter(({ role }) => role !== 'generated');
      const drawnCells = fc.tuple(
        ...written.map(({ values, series }) =>
          series === undefined
            ? fc.array(values, { minLength: ROWS + 1, maxLength: ROWS + 1 })
            : series,
        ),
      );
      return drawnCells.map((cells: readonly (readonly (string | null)[])[]) => {
        const name = (index: number) => drawn.names[index] ?? '';
        const tableName = `${[...drawn.tableName].slice(0, 10).join('')} of ${source}`;
        const declared = columns.map(
          ({ type }, index) =>
            `${quoteIdentifier(name(index))} ${type.replaceAll('@', quoteIdentifier(types))}`,
        );
        const rules: Rules = {};
        for (const [index, { role, valueMap }] of columns.entries())
          if (!['id', 'owner', 'generated', 'identity', 'extra'].includes(role))
            rules[role as SharedField] =
              valueMap === undefined ? name(index) : { column: name(index), values: valueMap };
        const enumLabels = drawn.status.enumLabels;
        return {
          source,
          relation: qualifiedName(schema, tableName),
          columns: columns.map(({ role }, index) => ({
            name: name(index),
            declaration: declared[index] ?? '',
            role,
            other: role === 'id' || role === 'identity' ? undefined : cells[index]?.[ROWS],
          })),
          rows: Array.from({ length: ROWS }, (_, row) =>
            cells.map((column) => column[row] ?? null),
          ),
          columnsDdl: declared.join(', '),
          enumDdl:
            enumLabels.length === 0
              ? ''
              : `create type ${qualifiedName(types, `Status of ${source}`)} as enum (${enumLabels.map(literal).join(', ')});`,
          rules,
          tableName,
        };
      });
    });
};

type Rules = Partial<
  Record<SharedField, string | { column: string; values: Record<string, string> }>
>;
interface Place {
  readonly types: string;
  readonly schema: string;
  readonly ownerType: string;
  readonly ownerIds: readonly string[];
}

const idsOf = (type: string): string[] =>
  Array.from({ length: OWNERS }, (_, n) => ID_TYPES[type]?.(n + 1) ?? '');
const insertOwners = (relation: string, rows: readonly (readonly string[])[]) =>
  `insert into ${relation} values ${rows.map((row) => `(${row.map(literal).join(', ')})`).join(', ')};`;

/** Legacy schemas as they might be anywhere: names, id types, vocabularies and columns of every kind. */
export const generatedSchema: fc.Arbitrary<GeneratedSchema> = fc
  .record({
    schemas: names(3).map((list) =>
      list.map((name, n) => `${[...name].slice(0, 10).join('')} ${n}`),
    ),
    user: fc.constantFrom(...Object.keys(OWNER_TYPES)),
    practitioner: fc.constantFrom(...Object.keys(OWNER_TYPES)),
    ownerColumns: names(3),
    targetIsLegacy: fc.boolean(),
  })
  .chain(({ schemas, user, practitioner, ownerColumns, targetIsLegacy }) => {
    const [legacy = '', types = '', made = ''] = schemas;
    const [userId = '', practitionerId = '', practitionerUser = ''] = ownerColumns;
    const place = { types, schema: legacy };
    const userIds = idsOf(user);
    const practitionerIds = idsOf(practitioner);
    return fc
      .tuple(
        table('kit', { ...place, ownerType: user, ownerIds: userIds }),
        table('practitioner_kits', {
          ...place,
          ownerType: practitioner,
          ownerIds: practitionerIds,
        }),
      )
      .map(([kit, practitionerKits]): GeneratedSchema => {
        const users = qualifiedName(types, 'Some "users"');
        const practitioners = qualifiedName(types, 'Practitioners');
        const target = targetIsLegacy ? legacy : made;
        const [q, p] = [quoteIdentifier(practitionerId), quoteIdentifier(practitionerUser)];
        const source = (one: typeof kit) => ({
          schema: legacy,
          table: one.tableName,
          id: { column: one.columns[0]?.name ?? '' },
          columns: { kitNumber: '', status: '', ...one.rules },
        });
        const owner = (one: typeof kit) => one.columns[1]?.name ?? '';
        return {
          ddl: [
            ...schemas.map((name) => `create schema ${quoteIdentifier(name)};`),
            `create extension citext schema ${quoteIdentifier(types)};`,
            TYPES.replaceAll('@', quoteIdentifier(types)),
            `create table ${users} (${quoteIdentifier(userId)} ${user} primary key);`,
            `create table ${practitioners} (${q} ${practitioner} primary key, ${p} ${user});`,
            insertOwners(
              users,
              userIds.map((id) => [id]),
            ),
            insertOwners(
              practitioners,
              practitionerIds.map((id, n) => [id, userIds[n] ?? '']),
            ),
            ...[kit, practitionerKits].map(
              (one) => `${one.enumDdl} create table ${one.relation} (${one.columnsDdl});`,
            ),
          ].join('\n'),
          mapping: {
            version: 1,
            name: 'generated',
            target: {
              schema: target,
              userIdType: OWNER_TYPES[user],
              practitionerIdType: OWNER_TYPES[practitioner],
            },
            users: { schema: types, table: 'Some "users"', id: userId },
            sources: {
              kit: { ...source(kit), owner: { type: 'client', userId: owner(kit) } },
              practitioner_kits: {
                ...source(practitionerKits),
                owner: {
                  type: 'practitioner',
                  practitionerId: owner(practitionerKits),
                  practitioners: {
                    schema: types,
                    table: 'Practitioners',
                    id: practitionerId,
                    userId: practitionerUser,
                  },
                },
              },
            },
          },
          tables: { kit, practitioner_kits: practitionerKits },
          owners: { users, practitioners, userIds, practitionerIds },
        };
      });
  });
