/** Where a path stands, which decides what of the context object it can see. */
export type PathPlace = {
  /** Inside a Map or Parallel state. */
  readonly nested: boolean;
  /** In the ItemSelector (or Parameters) of a Map state. */
  readonly mapItem?: boolean;
};

/**
 * The intrinsic functions that give what AWS gives. States.JsonToString is left out: the interpreter
 * drops every backslash from a function's text result, and with them the escapes of quoted text.
 */
export const INTRINSIC_FUNCTIONS = [
  'States.Format',
  'States.StringToJson',
  'States.Array',
  'States.ArrayPartition',
  'States.ArrayContains',
  'States.ArrayRange',
  'States.ArrayGetItem',
  'States.ArrayLength',
  'States.ArrayUnique',
  'States.Base64Encode',
  'States.Base64Decode',
  'States.Hash',
  'States.JsonMerge',
  'States.MathRandom',
  'States.MathAdd',
  'States.StringSplit',
  'States.UUID',
] as const;

const CONTEXT_EVERYWHERE = /^\$\$\.(Execution\.(Id|Name)|StateMachine\.(Id|Name))$/;
/** An inner machine gets its own input and start here, where AWS gives those of the execution. */
const CONTEXT_OUTERMOST = /^\$\$\.Execution\.(StartTime|Input(\.|\[|$))/;
const CONTEXT_MAP_ITEM = /^\$\$\.Map\.Item\.(Index|Value)(\.|\[|$)/;
const INTRINSIC = /^(States\.\w+)\((.*)\)$/s;

/** Complaints about one path; none for a field that is absent or null. */
export function unsupportedPath(where: string, path: unknown, place: PathPlace): string[] {
  if (path === undefined || path === null) return [];
  if (typeof path !== 'string' || !path.startsWith('$')) {
    return [`${where}: ${JSON.stringify(path)} is not a path.`];
  }
  if (path.startsWith('$$')) return unsupportedContext(where, path, place);
  // With no match at all they yield an error here and an empty array on AWS.
  return /\.\.|[*?,:]/.test(withoutQuoted(path))
    ? [`${where}: ${path} may match several values; name one.`]
    : [];
}

/** Complaints about a payload template, at any depth. */
export function unsupportedTemplate(where: string, template: unknown, place: PathPlace): string[] {
  if (Array.isArray(template)) {
    return template.flatMap((item) => unsupportedTemplate(where, item, place));
  }
  if (typeof template !== 'object' || template === null) return [];
  return Object.entries(template).flatMap(([key, value]) => {
    if (!key.endsWith('.$')) return unsupportedTemplate(where, value, place);
    return unsupportedExpression(`${where}.${key}`, value, place);
  });
}

function unsupportedExpression(where: string, value: unknown, place: PathPlace): string[] {
  if (typeof value !== 'string' || value.startsWith('$'))
    return unsupportedPath(where, value, place);
  const call = INTRINSIC.exec(value);
  const [, name = '', argumentsText = ''] = call ?? [];
  if (!call) return [`${where}: ${value} is neither a path nor an intrinsic function.`];
  const known: readonly string[] = INTRINSIC_FUNCTIONS;
  const found = known.includes(name) ? [] : [`${where}: ${name} is not supported.`];
  // It counts parentheses without regard to quotes.
  if (
    [...argumentsText.matchAll(/'((?:[^'\\]|\\.)*)'/g)].some(([, text = '']) => /[()]/.test(text))
  ) {
    found.push(`${where}: a text with parentheses confuses the interpreter.`);
  }
  const outside = argumentsText.replaceAll(/'(?:[^'\\]|\\.)*'/g, "''");
  for (const [nestedName] of outside.matchAll(/States\.\w+/g)) {
    if (!known.includes(nestedName)) found.push(`${where}: ${nestedName} is not supported.`);
  }
  for (const [path] of outside.matchAll(/\$[^,()\s]*/g)) {
    found.push(...unsupportedPath(where, path, place));
  }
  return found;
}

function unsupportedContext(where: string, path: string, place: PathPlace): string[] {
  if (CONTEXT_EVERYWHERE.test(path)) return [];
  if (CONTEXT_OUTERMOST.test(path)) {
    return place.nested
      ? [`${where}: inside a Map or Parallel state ${path} is not that of the execution.`]
      : [];
  }
  if (CONTEXT_MAP_ITEM.test(path)) {
    return place.mapItem ? [] : [`${where}: ${path} is known in the ItemSelector only.`];
  }
  return [`${where}: the interpreter has no ${path}.`];
}

function withoutQuoted(path: string): string {
  return path.replaceAll(/\['[^']*'\]/g, '.quoted').replaceAll(/\["[^"]*"\]/g, '.quoted');
}
