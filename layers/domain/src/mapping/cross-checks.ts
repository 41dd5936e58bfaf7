interface Fault {
  readonly path: string[];
  readonly message: string;
}

/** A member of what may have any shape: the checks run on faulty mappings too, so that all faults are told at once. */
const at = (value: unknown, ...path: readonly string[]): unknown => {
  let found = value;
  for (const key of path)
    found =
      typeof found === 'object' && found !== null
        ? (found as Readonly<Record<string, unknown>>)[key]
        : undefined;
  return found;
};

/** Where a source names its columns: each may be a name, or a rule with the name in `column`. */
const namedColumns = (source: unknown): string[] => {
  const columns = at(source, 'columns');
  const rules = typeof columns === 'object' && columns !== null ? Object.values(columns) : [];
  const ownerKey = at(source, 'owner', 'type') === 'client' ? 'userId' : 'practitionerId';
  return [
    at(source, 'id', 'column'),
    at(source, 'owner', ownerKey),
    ...rules.map((rule) => (typeof rule === 'string' ? rule : at(rule, 'column'))),
  ].filter((name) => typeof name === 'string');
};

const nameOf = (value: unknown): string | undefined => {
  const [schema, table] = [at(value, 'schema'), at(value, 'table')];
  return typeof schema === 'string' && typeof table === 'string'
    ? `"${schema}"."${table}"`
    : undefined;
};

/** Names that the API gives to other things than an attribute. */
const TAKEN = new Set([
  'id',
  'kitsId',
  'ownerType',
  'userId',
  'practitionerId',
  'legacyId',
  'attributes',
]);

/** Attributes of the API that shadow a name, or a column that a rule shows already. */
const attributeFaults = (source: unknown, shared: readonly string[]): string[] => {
  const attributes = at(source, 'api', 'attributes');
  if (typeof attributes !== 'object' || attributes === null) return [];
  const used = new Set(namedColumns(source));
  return Object.entries(attributes).flatMap(([name, rule]) => {
    const column = typeof rule === 'string' ? rule : at(rule, 'column');
    return [
      ...(TAKEN.has(name) || shared.includes(name)
        ? [`api.attributes.${name} has the name of another field of a kit; choose another`]
        : []),
      ...(typeof column === 'string' && used.has(column)
        ? [`api.attributes.${name} names column "${column}", which a rule shows already`]
        : []),
    ];
  });
};

/** What is wrong between the parts of a mapping, each of which may be right by itself. */
export const crossFaults = (
  mapping: unknown,
  sources: readonly string[],
  shared: readonly string[],
): readonly Fault[] => {
  const faults: Fault[] = [];
  const target = at(mapping, 'target', 'schema');
  const names = sources.map((source) => nameOf(at(mapping, 'sources', source)));
  for (const [index, source] of sources.entries()) {
    const path = ['sources', source];
    const used = namedColumns(at(mapping, ...path));
    for (const column of new Set(used.filter((name, n) => used.indexOf(name) !== n)))
      faults.push({
        path,
        message: `column "${column}" is named by two rules; one legacy column feeds one unified column`,
      });
    for (const message of attributeFaults(at(mapping, ...path), shared))
      faults.push({ path, message });
    const name = names[index];
    if (name === `"${target}"."kits"` || name === `"${target}"."kit_id_map"`)
      faults.push({
        path,
        message: `${name} is the name of the table to be made; choose another target.schema`,
      });
  }
  const [first, second] = names;
  if (first !== undefined && first === second)
    faults.push({ path: ['sources'], message: 'both sources name the same table' });
  return faults;
};
