import { type Binding, type BoundSource, quoteIdentifier, quoteLiteral } from '@unified-kits/data';
import { SHARED_COLUMNS, type Source, type Store } from '@unified-kits/domain';

/** Of a token, and of a kit number, in characters. */
const LENGTH = 12;
const TEXT = /^(text|character varying(\((\d+)\))?)$/;
const takesText = (type: string): boolean => {
  const match = TEXT.exec(type);
  return match !== null && (match[3] === undefined || Number(match[3]) >= LENGTH);
};

interface Candidate {
  /** Its name in the API. */
  readonly name: string;
  readonly column: string;
}

const candidates = ({ mapping, rules, shown }: BoundSource): readonly Candidate[] => {
  const free = (column: BoundSource['id']) =>
    takesText(column.type) && !column.generated && !column.uniqueKey;
  const mapped = (['orderId', 'kitType'] as const).flatMap((name) =>
    rules
      .filter((rule) => rule.field === name && rule.values === undefined && free(rule.column))
      .map(({ column }) => ({ name, column: column.name })),
  );
  const attributes = shown
    .filter(({ name, column }) => mapping.api.attributes[name]?.type === 'string' && free(column))
    .map(({ name, column }) => ({ name, column: column.name }));
  return [...mapped, ...attributes.slice(0, 1)];
};

/**
 * Fields of the API that could take a token (a text unique to each write, by which one is told from another),
 * the likeliest first. Which of them a table really lets be changed only a try can tell.
 */
export const tokenFields = (source: BoundSource): readonly string[] =>
  candidates(source).map(({ name }) => name);

/** Columns that a writer's request or a job may change, by source: a comparison with the original leaves them out. */
export const writtenColumns = (binding: Binding): Record<Source, readonly string[]> => {
  const columns = (source: Source): readonly string[] => {
    const bound = binding.sources[source];
    const times = bound.rules.filter(({ field }) =>
      ['status', 'registeredAt', 'collectedAt', 'receivedAt', 'resultedAt', 'updatedAt'].includes(
        field,
      ),
    );
    return [
      ...times.map(({ column }) => column.name),
      ...candidates(bound).map(({ column }) => column),
    ];
  };
  return { kit: columns('kit'), practitioner_kits: columns('practitioner_kits') };
};

/** SQL of a field as a store holds it; null where the store has no such field. */
const stored = (source: BoundSource, store: Store, name: string): string => {
  const rule = source.rules.find(({ field }) => field === name);
  if (rule !== undefined)
    return store === 'kits'
      ? SHARED_COLUMNS[rule.field].column
      : `${quoteIdentifier(rule.column.name)}::text`;
  const shown = source.shown.find((attribute) => attribute.name === name);
  if (shown === undefined) return 'null';
  return store === 'kits'
    ? `legacy_attributes ->> ${quoteLiteral(shown.column.name)}`
    : `${quoteIdentifier(shown.column.name)}::text`;
};

/**
 * Reads fields of kits from one store, past the service: by `key`, the legacy id, or by `number`. $1 is the
 * array of those wanted. Each row has `key`, `number`, and `values` in the order of `fields`, in the store's
 * own words.
 */
export const contentStatement = (
  binding: Binding,
  source: Source,
  store: Store,
  fields: readonly string[],
  by: 'key' | 'number',
): string => {
  const bound = binding.sources[source];
  const id = quoteIdentifier(bound.id.name);
  const number = stored(bound, store, 'kitNumber');
  const values = `array[${fields.map((name) => stored(bound, store, name)).join(', ')}]::text[]`;
  if (store === 'kits')
    return `select legacy_id as key, kit_number as number, ${values} as values from ${binding.kits} where source = ${quoteLiteral(source)} and ${by === 'key' ? 'legacy_id' : 'kit_number'} = any ($1::text[])`;
  const where =
    by === 'key'
      ? `${id} = any (cast($1::text[] as ${bound.idType}[]))`
      : `${number} = any ($1::text[])`;
  return `select ${id}::text as key, ${number} as number, ${values} as values from ${bound.relation} where ${where}`;
};

/** A value of a store in the words of `kits`. */
export const unifiedValue = (
  { rules }: BoundSource,
  store: Store,
  name: string,
  value: string | null,
): string | null => {
  const values = rules.find(({ field }) => field === name)?.values;
  return store === 'kits' || values === undefined || value === null
    ? value
    : (values[value] ?? value);
};
