import type { Binding, BoundRule, BoundSource } from '@unified-kits/data';
import { SHARED_COLUMNS, SOURCES, type Source } from '@unified-kits/domain';

/** A column that takes a text unique to each write. */
export interface TokenColumn {
  readonly legacyColumn: string;
  /** The column of `kits`; undefined where the text goes to `legacy_attributes`. */
  readonly kitsColumn: string | undefined;
}

/** What a writer may do with one source, read from the mapping and the catalog alone. */
export interface WriteShape {
  readonly source: Source;
  readonly bound: BoundSource;
  readonly kits: string;
  readonly token: TokenColumn;
  /** Pairs of one status in both vocabularies; empty where the mapping has no value map. */
  readonly statuses: readonly { readonly legacy: string; readonly unified: string }[];
  /** Whether rows can be inserted by copying one and giving it a new number. */
  readonly inserts: boolean;
}

/** A token is 12 characters, a kit number 13. */
const SHORTEST = 16;
const TEXT = /^(text|character varying(\((\d+)\))?)$/;
const takesText = (type: string): boolean => {
  const match = TEXT.exec(type);
  return match !== null && (match[3] === undefined || Number(match[3]) >= SHORTEST);
};

const ruleOf = (bound: BoundSource, field: BoundRule['field']): BoundRule | undefined =>
  bound.rules.find((rule) => rule.field === field);

/**
 * Columns that could take the token, the likeliest first: the mapped free texts, then texts that no
 * rule names. Which of them a table really lets be changed only a try can tell.
 */
export const tokenCandidates = (bound: BoundSource): readonly TokenColumn[] => [
  ...(['orderId', 'kitType'] as const).flatMap((field) => {
    const rule = ruleOf(bound, field);
    return rule !== undefined &&
      rule.values === undefined &&
      !rule.column.generated &&
      !rule.column.uniqueKey &&
      takesText(rule.column.type)
      ? [{ legacyColumn: rule.column.name, kitsColumn: SHARED_COLUMNS[field].column }]
      : [];
  }),
  ...bound.attributes
    .filter((column) => takesText(column.type) && !column.uniqueKey)
    .map((column) => ({ legacyColumn: column.name, kitsColumn: undefined })),
];

/** One pair per unified status: of several legacy values the first is the one that comes back. */
export const statusPairs = (bound: BoundSource): WriteShape['statuses'] => {
  const pairs = new Map<string, string>();
  for (const [legacy, unified] of Object.entries(ruleOf(bound, 'status')?.values ?? {}))
    if (!pairs.has(unified)) pairs.set(unified, legacy);
  return [...pairs].map(([unified, legacy]) => ({ legacy, unified }));
};

/** Columns whose values a write of ours changes, by source: a comparison with the original leaves them out. */
export const writtenColumns = (
  binding: Binding,
  shapes: Readonly<Record<Source, WriteShape | undefined>>,
): Record<Source, readonly string[]> => {
  const columns = (source: Source): readonly string[] => {
    const shape = shapes[source];
    const bound = binding.sources[source];
    const named = [ruleOf(bound, 'updatedAt'), ruleOf(bound, 'status')].flatMap((rule) =>
      rule === undefined ? [] : [rule.column.name],
    );
    return shape === undefined ? named : [...named, shape.token.legacyColumn];
  };
  return Object.fromEntries(SOURCES.map((source) => [source, columns(source)])) as Record<
    Source,
    readonly string[]
  >;
};
