import { SHARED_COLUMNS } from '@unified-kits/domain';
import type { Binding, BoundRule, BoundSource } from '../catalog/bind-mapping.ts';
import { NATIVE_JSON } from '../catalog/native-json.ts';
import type { CatalogColumn } from '../catalog/read-table.ts';
import { qualifiedName, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { kitsIdExpression } from './kits-id.ts';
import { isAmbiguous, toLegacy, toUnified } from './value-map.ts';

/** A target column and the SQL that feeds it. */
export interface Projected {
  readonly column: string;
  readonly expression: string;
}

/**
 * Everything that is said about one source in SQL. Aliases: `s` the legacy row, `p` the practitioner
 * of that row, `k` the row in `kits`.
 */
export interface Projection {
  readonly binding: Binding;
  readonly source: BoundSource;
  /** kits' columns from a legacy row, without batch and time of migration. */
  readonly forward: readonly Projected[];
  /** `from` of the legacy side, with the join that finds the owner's user. */
  readonly legacyFrom: string;
  /** Legacy columns from a kits row, as they are written: too long a text is refused, never cut. */
  readonly backward: readonly Projected[];
  /** Pairs of equal-typed expressions, legacy side and kits side, that parity compares. */
  readonly compared: readonly {
    readonly column: string;
    readonly legacy: string;
    readonly kits: string;
  }[];
  /** Columns whose value is kept in `legacy_attributes`. */
  readonly kept: readonly CatalogColumn[];
  /** `created_at` of alias `k` as a kits row made from its legacy row has it: what the id is made of. */
  readonly createdAtBack: string;
  /** The legacy id of alias `s`, as text. */
  readonly legacyIdText: string;
  /** The legacy id of alias `s`. */
  readonly legacyKey: string;
  /** The legacy id of alias `k`, in the id's own type and collation. */
  readonly kitsKey: string;
}

/** Taken by assignment, also through a domain: it refuses what is too long, where a cast would cut it. */
const TEXTUAL = new Set(['text', 'character varying', 'character']);

const s = (column: CatalogColumn) => `s.${quoteIdentifier(column.name)}`;
const k = (column: string) => `k.${quoteIdentifier(column)}`;

/** A column's text, equal only when it is the same text: a nondeterministic collation would call others equal. */
const textOf = (column: CatalogColumn): string =>
  `${s(column)}::text${column.deterministicCollation ? '' : ' collate pg_catalog."C"'}`;

/** `jsonb_build_object` takes at most 100 arguments. */
const PAIRS_PER_OBJECT = 40;
const buildObject = (pairs: readonly string[]): string[] =>
  pairs.length === 0
    ? []
    : [
        `jsonb_build_object(${pairs.slice(0, PAIRS_PER_OBJECT).join(', ')})`,
        ...buildObject(pairs.slice(PAIRS_PER_OBJECT)),
      ];

/**
 * `legacy_attributes`: an absent key is SQL null. jsonb nests as it is, apart from the others, because
 * stripping nulls would reach into it; numbers and booleans are JSON's own; all else is its text.
 */
export const attributesExpression = (columns: readonly CatalogColumn[]): string => {
  const plain = columns.filter((column) => column.baseType !== 'jsonb');
  const nested = columns.filter((column) => column.baseType === 'jsonb');
  const pair = (column: CatalogColumn) =>
    `${quoteLiteral(column.name)}, ${NATIVE_JSON.has(column.baseType) ? s(column) : `${s(column)}::text`}`;
  const parts = [
    ...buildObject(plain.map(pair)).map((object) => `jsonb_strip_nulls(${object})`),
    ...nested.map(
      (column) =>
        `case when ${s(column)} is null then '{}'::jsonb else jsonb_build_object(${quoteLiteral(column.name)}, ${s(column)}) end`,
    ),
  ];
  return parts.length === 0 ? `'{}'::jsonb` : parts.join(' || ');
};

export const attributeText = (name: string) => `(k.legacy_attributes ->> ${quoteLiteral(name)})`;

const attributeBack = (column: CatalogColumn, target: string): string =>
  column.baseType === 'jsonb'
    ? `cast(k.legacy_attributes -> ${quoteLiteral(column.name)} as ${target})`
    : `cast(${attributeText(column.name)} as ${target})`;

export const ruleForward = (
  { field, column, values }: BoundRule,
  source: BoundSource,
  legacy = s(column),
): string => {
  switch (SHARED_COLUMNS[field].type) {
    case 'jsonb':
      return `${legacy}::jsonb`;
    case 'timestamptz':
      return column.baseType === 'timestamp with time zone'
        ? legacy
        : `(${legacy}::timestamp at time zone 'UTC')`;
    case 'text':
      return values === undefined
        ? `${legacy}::text`
        : toUnified(values, `${legacy}::text`, source.source, column.name);
  }
};

/**
 * The legacy column's value from `kits`, before it takes the legacy column's own type.
 *
 * @param unmapped SQL of what a unified value stands for that the value map does not name; by default it raises
 */
export const ruleBack = (rule: BoundRule, source: BoundSource, unmapped?: string): string => {
  const { field, column, values } = rule;
  const unified = k(SHARED_COLUMNS[field].column);
  if (SHARED_COLUMNS[field].type === 'timestamptz')
    return column.baseType === 'timestamp with time zone'
      ? unified
      : `(${unified} at time zone 'UTC')`;
  if (values === undefined) return unified;
  const inverse = toLegacy(values, unified, column.name, unmapped);
  if (!isAmbiguous(rule)) return inverse;
  const kept = attributeText(column.name);
  const meant = toUnified(values, kept, source.source, column.name, 'null');
  return `case when ${meant} = ${unified} then ${kept} else ${inverse} end`;
};

/** A value on its way into a legacy column. What is no text is cast, for assignment would refuse it. */
export const written = (expression: string, column: CatalogColumn): string =>
  TEXTUAL.has(column.baseType) ? expression : `cast(${expression} as ${column.type})`;

/**
 * What parity compares. Times are compared as the legacy column would hold them, which may be coarser
 * than `kits`. All else is compared as the text that `kits` holds, and nothing is cast to a legacy type:
 * a value of `kits` that no legacy column can take (an unmapped status, an order id that is no number)
 * must be named as a mismatch, where a cast would end the comparison of everything with an error; and
 * 1.0 is not 1.00.
 */
const compareRule = (rule: BoundRule, source: BoundSource) => {
  const { field, column } = rule;
  const pair = (legacy: string, kits: string) => ({ column: column.name, legacy, kits });
  switch (SHARED_COLUMNS[field].type) {
    case 'timestamptz': {
      const base = `cast(cast(${ruleBack(rule, source)} as ${column.type}) as ${column.baseType})`;
      return pair(`${s(column)}::${column.baseType}`, base);
    }
    case 'jsonb':
      return pair(`${s(column)}::text`, `${ruleBack(rule, source)}::text`);
    case 'text':
      return pair(
        textOf(column),
        ruleBack(rule, source, `'unmapped: ' || ${k(SHARED_COLUMNS[field].column)}`),
      );
  }
};

const compareAttribute = (column: CatalogColumn) => ({
  column: column.name,
  legacy: textOf(column),
  kits:
    column.baseType === 'jsonb'
      ? `(k.legacy_attributes -> ${quoteLiteral(column.name)})::text`
      : attributeText(column.name),
});

/** Generates a source's projections from its binding. */
export const project = (binding: Binding, source: BoundSource): Projection => {
  const { mapping } = source;
  const legacyIdText = `${s(source.id)}::text`;
  const createdRule = source.rules.find((rule) => rule.field === 'createdAt');
  const createdAt =
    createdRule === undefined ? 'null::timestamptz' : ruleForward(createdRule, source);
  const { userIdType, practitionerIdType } = binding.mapping.target;

  const practitioners =
    mapping.owner.type === 'practitioner' ? mapping.owner.practitioners : undefined;
  const userId =
    practitioners === undefined
      ? `${s(source.ownerColumn)}::${userIdType}`
      : `p.${quoteIdentifier(practitioners.userId)}::${userIdType}`;
  const practitionerId =
    practitioners === undefined
      ? `null::${practitionerIdType}`
      : `${s(source.ownerColumn)}::${practitionerIdType}`;
  const legacyFrom =
    practitioners === undefined
      ? `${source.relation} s`
      : `${source.relation} s left join ${qualifiedName(practitioners.schema, practitioners.table)} p on p.${quoteIdentifier(practitioners.id)} = ${s(source.ownerColumn)}`;

  const kept = [
    ...source.attributes,
    ...source.rules.filter(isAmbiguous).map((rule) => rule.column),
  ];
  const forward: Projected[] = [
    { column: 'id', expression: kitsIdExpression(source.source, createdAt, legacyIdText) },
    { column: 'owner_type', expression: quoteLiteral(mapping.owner.type) },
    { column: 'user_id', expression: userId },
    { column: 'practitioner_id', expression: practitionerId },
    ...source.rules.map((rule) => ({
      column: SHARED_COLUMNS[rule.field].column,
      expression: ruleForward(rule, source),
    })),
    { column: 'legacy_attributes', expression: attributesExpression(kept) },
    { column: 'source', expression: quoteLiteral(source.source) },
    { column: 'legacy_id', expression: legacyIdText },
  ];

  const ownerBack = practitioners === undefined ? k('user_id') : k('practitioner_id');
  const idBack = k('legacy_id');
  const writableRules = source.rules.filter((rule) => !rule.column.generated);
  const backward: Projected[] = [
    { column: source.id.name, expression: written(idBack, source.id) },
    { column: source.ownerColumn.name, expression: written(ownerBack, source.ownerColumn) },
    ...writableRules.map((rule) => ({
      column: rule.column.name,
      expression: written(ruleBack(rule, source), rule.column),
    })),
    ...source.attributes.map((column) => ({
      column: column.name,
      expression: written(
        attributeBack(column, TEXTUAL.has(column.baseType) ? 'text' : column.type),
        column,
      ),
    })),
  ];

  const compared = [
    { column: source.id.name, legacy: legacyIdText, kits: idBack },
    {
      column: source.ownerColumn.name,
      legacy: `${s(source.ownerColumn)}::text`,
      kits: `${ownerBack}::text`,
    },
    ...(practitioners === undefined
      ? []
      : [{ column: 'kits.user_id', legacy: userId, kits: k('user_id') }]),
    {
      column: 'kits.owner_type',
      legacy: `${quoteLiteral(mapping.owner.type)}::text`,
      kits: k('owner_type'),
    },
    ...writableRules.map((rule) => compareRule(rule, source)),
    ...source.attributes.map(compareAttribute),
  ];

  const collation =
    source.idType === 'text' ? ` collate ${source.id.collation ?? 'pg_catalog."default"'}` : '';
  return {
    binding,
    source,
    forward,
    legacyFrom,
    backward,
    compared,
    kept,
    createdAtBack:
      createdRule === undefined
        ? 'null::timestamptz'
        : ruleForward(
            createdRule,
            source,
            `cast(${ruleBack(createdRule, source)} as ${createdRule.column.type})`,
          ),
    legacyIdText,
    legacyKey: s(source.id),
    kitsKey: kitsKeyExpression('k.', source.source, source.idType, collation),
  };
};

/**
 * The typed key of a kits row. The `case` keeps a planner that evaluates it on a row of the other
 * source from failing on a text that is no such id. It is the expression of a partial unique index:
 * appended to in key order by the copy, where a text index of (source, legacy_id) takes integers all
 * over the place ('10' < '9'), and range-scannable in the legacy table's own order, which parity needs.
 */
export const kitsKeyExpression = (
  prefix: string,
  source: string,
  idType: string,
  collation = '',
): string =>
  `(case when ${prefix}source = ${quoteLiteral(source)} then cast(${prefix}legacy_id as ${idType}) end)${collation}`;
