const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const WHOLE = /^(?:0|-?[1-9]\d{0,18})$/;
const BITS: Readonly<Record<string, number>> = { smallint: 16, integer: 32, bigint: 64 };
const MOST_CHARACTERS = 255;

/**
 * An id as the database writes it, or undefined for a text that is nothing's id. Apart from the case of a
 * UUID an id has one spelling: Postgres takes others (` 7`, `+7`, `{…}`; `0x7` and `0_7` from version 16 on),
 * with which one kit would have many addresses.
 *
 * @param type as Postgres calls it; all but UUIDs and integers are texts
 */
export const canonicalId = (text: string, type: string): string | undefined => {
  if (type === 'uuid') return UUID.test(text) ? text.toLowerCase() : undefined;
  const bits = BITS[type];
  if (bits !== undefined)
    return WHOLE.test(text) && BigInt.asIntN(bits, BigInt(text)) === BigInt(text)
      ? text
      : undefined;
  const storable = text.isWellFormed() && !text.includes('\0');
  return storable && text !== '' && text.length <= MOST_CHARACTERS ? text : undefined;
};
