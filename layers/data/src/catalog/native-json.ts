/** Types that `legacy_attributes` keeps as JSON's own; of all others it keeps the text. */
export const NATIVE_JSON: ReadonlySet<string> = new Set([
  'smallint',
  'integer',
  'bigint',
  'boolean',
  'numeric',
]);
