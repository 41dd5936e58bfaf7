import { z } from 'zod';
import { KitRefused } from '../errors.ts';
import type { ColumnRule, Mapping, ShownColumn, Source } from '../mapping/schema.ts';
import type { KitValues, NewValue } from './kit.ts';
import { KIT_STATUSES, type KitStatus } from './lifecycle.ts';

/** Which contract a request is made under: the legacy routes speak the legacy table's words. */
export type Contract = 'legacy' | 'v2';

/** No control characters, and no space at either end: a number is read aloud and typed in again. */
const kitNumber = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{C}\s](?:[^\p{C}]*[^\p{C}\s])?$/u, 'printable characters, no space at either end')
  .describe('The number printed on the kit; no two kits have the same.');
const shortText = z.string().min(1).max(128).nullable();
const longText = z.string().max(2_000).nullable();

const metadata = z
  .record(z.string(), z.unknown())
  .nullable()
  .describe('Any JSON object; replaced as a whole.');

const ATTRIBUTE_VALUES: Readonly<Record<ShownColumn['type'], z.ZodType>> = {
  string: longText,
  // A number that a double cannot hold arrives as raw JSON, which is an object to JavaScript.
  number: z
    .custom<unknown>((value) => typeof value === 'number' || isRawNumber(value), 'a number')
    .nullable()
    .meta({ type: 'number' }),
  boolean: z.boolean().nullable(),
  json: z.unknown(),
};

const isRawNumber = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.isFrozen(value) && 'rawJSON' in value;

const attributeShape = (attributes: Readonly<Record<string, ShownColumn>>) =>
  Object.fromEntries(
    Object.entries(attributes).map(([name, { type }]) => [name, ATTRIBUTE_VALUES[type].optional()]),
  );

/** The statuses that a contract knows, in its own words, by what they mean. */
export const statusWords = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
): ReadonlyMap<string, KitStatus> => {
  const { values } = mapping.sources[source].columns.status;
  const own = KIT_STATUSES.map((status) => [status, status] as const);
  if (contract === 'v2' || values === undefined) return new Map(own);
  return new Map(
    Object.entries(values).flatMap(([word, meaning]) => {
      const status = KIT_STATUSES.find((one) => one === meaning);
      return status === undefined ? [] : [[word, status] as const];
    }),
  );
};

const ruleOf = (mapping: Mapping, source: Source, field: 'kitType' | 'orderId' | 'metadata') =>
  mapping.sources[source].columns[field];

const mappedShape = (mapping: Mapping, source: Source) => ({
  ...(ruleOf(mapping, source, 'kitType') && { kitType: shortText.optional() }),
  ...(ruleOf(mapping, source, 'orderId') && { orderId: shortText.optional() }),
  ...(ruleOf(mapping, source, 'metadata') && { metadata: metadata.optional() }),
});

const attributesOf = (mapping: Mapping, source: Source, contract: Contract) => {
  const shape = attributeShape(mapping.sources[source].api.attributes);
  return contract === 'legacy' ? shape : { attributes: z.strictObject(shape).optional() };
};

/** The body of a POST. What is absent or null takes the database's default. */
export const createBody = (mapping: Mapping, source: Source, contract: Contract) =>
  z.strictObject({
    ...(contract === 'v2' && {
      ownerType: z.literal(mapping.sources[source].owner.type),
    }),
    kitNumber,
    ...mappedShape(mapping, source),
    ...attributesOf(mapping, source, contract),
  });

/** The body of a PATCH. What is absent stays as it is; the owner and the number of a kit never change. */
export const changeBody = (mapping: Mapping, source: Source, contract: Contract) => {
  const words = [...statusWords(mapping, source, contract).keys()];
  return z.strictObject({
    status: z.enum(words).optional(),
    ...mappedShape(mapping, source),
    ...attributesOf(mapping, source, contract),
  });
};

/** A parsed body of either kind, as far as the code below cares. */
type Body = Readonly<Record<string, unknown>>;

/** A unified value in the legacy table's words: of several the first, as on the way back. */
const legacyWord = (rule: ColumnRule, unified: string, field: string): string => {
  if (rule.values === undefined) return unified;
  const found = Object.entries(rule.values).find(([, meaning]) => meaning === unified);
  if (found === undefined)
    throw new KitRefused(field, `"${field}" has no such value for kits of this owner type`);
  return found[0];
};

const jsonOrNull = (value: unknown): string | null =>
  value === null ? null : JSON.stringify(value);

/**
 * The values of a body as the stores take them: in the legacy table's words, JSON as text.
 *
 * @throws {KitRefused} naming the field whose value the source has no word for.
 */
export const valuesOf = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  body: Body,
): KitValues => {
  const { columns, api } = mapping.sources[source];
  const fields: Partial<Record<keyof typeof columns, NewValue>> = {};
  for (const field of ['kitNumber', 'kitType', 'orderId'] as const) {
    const value = body[field];
    const rule = columns[field];
    if (rule === undefined || value === undefined) continue;
    if (typeof value !== 'string') fields[field] = null;
    else if (contract === 'v2') fields[field] = legacyWord(rule, value, field);
    else if (rule.values !== undefined && !Object.hasOwn(rule.values, value))
      throw new KitRefused(field, `"${field}" has no such value`);
    else fields[field] = value;
  }
  if (columns.metadata !== undefined && body.metadata !== undefined)
    fields.metadata = jsonOrNull(body.metadata);
  const given = (contract === 'legacy' ? body : (body.attributes ?? {})) as Body;
  const attributes = Object.fromEntries(
    Object.entries(api.attributes).flatMap(([name, { type }]) => {
      const value = given[name];
      if (value === undefined) return [];
      const text = typeof value === 'string' && type === 'string' ? value : jsonOrNull(value);
      return [[name, text] as const];
    }),
  );
  return { fields, attributes };
};

/** The status that a PATCH asks for, in the words of `kits`. */
export const wishedStatus = (
  mapping: Mapping,
  source: Source,
  contract: Contract,
  body: Body,
): KitStatus | undefined =>
  typeof body.status === 'string'
    ? statusWords(mapping, source, contract).get(body.status)
    : undefined;

/** A status in the words of the source's own table. */
export const legacyStatus = (mapping: Mapping, source: Source, status: KitStatus): string =>
  legacyWord(mapping.sources[source].columns.status, status, 'status');
