import {
  type Kit,
  SHARED_COLUMNS,
  SHARED_FIELDS,
  type SharedField,
  SOURCES,
  type Source,
} from '@unified-kits/domain';
import type { Binding, BoundRule, BoundSource, ShownAttribute } from '../catalog/bind-mapping.ts';
import { NATIVE_JSON } from '../catalog/native-json.ts';
import { kitsIdExpression } from '../projection/kits-id.ts';
import { ruleBack, ruleForward } from '../projection/projection.ts';
import { toUnified } from '../projection/value-map.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';

/**
 * A kit as a row of text. Arrays, because the two sources have different columns and one statement may
 * return kits of both.
 */
export interface KitRow {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly ownerType: Kit['ownerType'];
  readonly userId: string | null;
  readonly practitionerId: string | null;
  /** In the order of SHARED_FIELDS. */
  readonly fields: readonly (string | null)[];
  /** Of the rules with a value map, in the binding's order. */
  readonly legacyFields: readonly (string | null)[];
  /** JSON text, in the order of the binding's shown attributes. */
  readonly attributes: readonly (string | null)[];
}

const textArray = (expressions: readonly string[]): string =>
  expressions.length === 0 ? `'{}'::text[]` : `array[${expressions.join(', ')}]::text[]`;

/** ISO 8601 in UTC with microseconds; what that cannot say (infinity, before the year 1) as Postgres says it. */
const timeText = (time: string): string =>
  `case when isfinite(${time}) and ${time} >= '0001-01-01 00:00:00+00' then to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') else (${time})::text end`;

const translated = ({ rules }: BoundSource): readonly BoundRule[] =>
  rules.filter(({ values }) => values !== undefined);

const sharedFields = (
  source: BoundSource,
  textOf: (rule: BoundRule, field: SharedField) => string,
): string =>
  textArray(
    SHARED_FIELDS.map((field) => {
      const rule = source.rules.find((one) => one.field === field);
      return rule === undefined ? 'null' : textOf(rule, field);
    }),
  );

const s = (name: string) => `s.${quoteIdentifier(name)}`;

const legacyAttribute = ({ column }: ShownAttribute): string => {
  if (column.baseType === 'jsonb') return `${s(column.name)}::text`;
  return NATIVE_JSON.has(column.baseType)
    ? `to_jsonb(${s(column.name)})::text`
    : `to_jsonb(${s(column.name)}::text)::text`;
};

/** A legacy row's user: the practitioner's, found by a subquery so that it also works in `returning`. */
export const legacyUser = (source: BoundSource): string => {
  const { owner } = source.mapping;
  if (owner.type === 'client') return s(source.ownerColumn.name);
  const { practitioners } = owner;
  return `(select p.${quoteIdentifier(practitioners.userId)} from ${qualifiedName(practitioners.schema, practitioners.table)} p where p.${quoteIdentifier(practitioners.id)} = ${s(source.ownerColumn.name)})`;
};

/** The milliseconds since 1970 that a kits id begins with; null where they stand for every time out of range. */
export const millisecondsOf = (kitsId: string): number | null => {
  const milliseconds = Number.parseInt(kitsId.replace('-', '').slice(0, 12), 16);
  return milliseconds === 0 || milliseconds === 2 ** 48 - 1 ? null : milliseconds;
};

/**
 * SQL of whether the legacy row `s` was created when a kits id says, give or take what is lost on the way
 * there: much cheaper than the id itself.
 *
 * @param milliseconds SQL of what `millisecondsOf` gives
 */
export const bornThen = (source: BoundSource, milliseconds: string): string => {
  const rule = source.rules.find(({ field }) => field === 'createdAt');
  const at = `cast(${milliseconds} as float8)`;
  if (rule === undefined) return `${at} is null`;
  const time = `timestamptz 'epoch' + ${at} * interval '1 millisecond'`;
  return `(${at} is null or ${ruleForward(rule, source)} between ${time} - interval '1 second' and ${time} + interval '1 second')`;
};

/** The id that the legacy row `s` has, or will have, in `kits`. */
export const legacyKitsId = (source: BoundSource): string => {
  const created = source.rules.find(({ field }) => field === 'createdAt');
  return kitsIdExpression(
    source.source,
    created === undefined ? 'null::timestamptz' : ruleForward(created, source),
    `${s(source.id.name)}::text`,
  );
};

/** The select list of a kit from its legacy row, alias `s`. A value that the map does not name is shown as it is. */
export const legacyKitColumns = (source: BoundSource): string => {
  const { owner } = source.mapping;
  const text = (rule: BoundRule, field: SharedField) => {
    const legacy = `${s(rule.column.name)}::text`;
    if (rule.values !== undefined)
      return toUnified(rule.values, legacy, source.source, rule.column.name, legacy);
    const value = ruleForward(rule, source);
    return SHARED_COLUMNS[field].type === 'timestamptz' ? timeText(value) : `${value}::text`;
  };
  return [
    `${quoteLiteral(source.source)}::text as "source"`,
    `${s(source.id.name)}::text as "legacyId"`,
    `${legacyKitsId(source)}::text as "kitsId"`,
    `${quoteLiteral(owner.type)}::text as "ownerType"`,
    `${legacyUser(source)}::text as "userId"`,
    `${owner.type === 'client' ? 'null' : s(source.ownerColumn.name)}::text as "practitionerId"`,
    `${sharedFields(source, text)} as "fields"`,
    `${textArray(translated(source).map(({ column }) => `${s(column.name)}::text`))} as "legacyFields"`,
    `${textArray(source.shown.map(legacyAttribute))} as "attributes"`,
  ].join(', ');
};

/** Times as the legacy column would hold them, which may be coarser than `kits`: both stores show the same. */
const unifiedText = (source: BoundSource) => (rule: BoundRule, field: SharedField) => {
  const column = `k.${SHARED_COLUMNS[field].column}`;
  if (SHARED_COLUMNS[field].type !== 'timestamptz') return `${column}::text`;
  return timeText(
    rule.column.type === 'timestamp with time zone'
      ? column
      : ruleForward(rule, source, `cast(${ruleBack(rule, source)} as ${rule.column.type})`),
  );
};

const unifiedArrays = (source: BoundSource): readonly [string, string, string] => [
  sharedFields(source, unifiedText(source)),
  textArray(
    translated(source).map((rule) =>
      ruleBack(rule, source, `k.${SHARED_COLUMNS[rule.field].column}`),
    ),
  ),
  textArray(
    source.shown.map(({ column }) => `(k.legacy_attributes -> ${quoteLiteral(column.name)})::text`),
  ),
];

/** The select list of a kit from `kits`, alias `k`; of one source where it is known. */
export const unifiedKitColumns = (binding: Binding, source?: Source): string => {
  const sources = source === undefined ? SOURCES : [source];
  const arrays = sources.map((one) => [one, unifiedArrays(binding.sources[one])] as const);
  const choose = (index: 0 | 1 | 2) => {
    const [only, ...others] = arrays;
    if (only === undefined) throw new TypeError('a kit has a source');
    return others.length === 0
      ? only[1][index]
      : `case k.source ${arrays.map(([one, parts]) => `when ${quoteLiteral(one)} then ${parts[index]}`).join(' ')} end`;
  };
  return [
    'k.source as "source"',
    'k.legacy_id as "legacyId"',
    'k.id::text as "kitsId"',
    'k.owner_type as "ownerType"',
    'k.user_id::text as "userId"',
    'k.practitioner_id::text as "practitionerId"',
    `${choose(0)} as "fields"`,
    `${choose(1)} as "legacyFields"`,
    `${choose(2)} as "attributes"`,
  ].join(', ');
};

/** The kit of a row. */
export const kitOfRow = (binding: Binding, row: KitRow): Kit => {
  const source = binding.sources[row.source];
  return {
    source: row.source,
    legacyId: row.legacyId,
    kitsId: row.kitsId,
    ownerType: row.ownerType,
    userId: row.userId,
    practitionerId: row.practitionerId,
    fields: Object.fromEntries(
      SHARED_FIELDS.map((field, index) => [field, row.fields[index] ?? null]),
    ) as Kit['fields'],
    legacyFields: Object.fromEntries(
      translated(source).map(({ field }, index) => [field, row.legacyFields[index] ?? null]),
    ),
    attributes: Object.fromEntries(
      source.shown.flatMap(({ name }, index) => {
        const value = row.attributes[index];
        return value == null ? [] : [[name, value]];
      }),
    ),
  };
};
