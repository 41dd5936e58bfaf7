import type { Mapping, SharedField, Source } from '../mapping/schema.ts';
import type { Kit } from './kit.ts';
import type { Contract } from './requests.ts';

/** How a source's ids look in JSON: a number where the column holds integers. */
export type LegacyIdType = 'integer' | 'string';

const TEXT_FIELDS = ['status', 'kitType', 'orderId'] as const;
const TIME_FIELDS = [
  'registeredAt',
  'collectedAt',
  'receivedAt',
  'resultedAt',
  'createdAt',
  'updatedAt',
] as const;

const text = (value: string | null): string => (value === null ? 'null' : JSON.stringify(value));

/** An object of values that are JSON text already: what Postgres wrote is passed on digit by digit. */
const object = (pairs: readonly (readonly [string, string])[]): string =>
  `{${pairs.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;

const has = (mapping: Mapping, source: Source) => (field: SharedField) =>
  mapping.sources[source].columns[field] !== undefined;

const attributePairs = (kit: Kit, mapping: Mapping) =>
  Object.keys(mapping.sources[kit.source].api.attributes).map(
    (name) => [name, kit.attributes[name] ?? 'null'] as const,
  );

/** The legacy contract: the table's own words, its own id, and the ownership that was added to it. */
const legacyPairs = (kit: Kit, mapping: Mapping, idType: LegacyIdType) => {
  const mapped = has(mapping, kit.source);
  const field = (name: SharedField) =>
    [
      name,
      text(
        Object.hasOwn(kit.legacyFields, name) ? (kit.legacyFields[name] ?? null) : kit.fields[name],
      ),
    ] as const;
  const client = kit.ownerType === 'client';
  return [
    ['id', idType === 'integer' ? kit.legacyId : text(kit.legacyId)],
    field('kitNumber'),
    client ? ['userId', text(kit.userId)] : ['practitionerId', text(kit.practitionerId)],
    ...attributePairs(kit, mapping),
    ...TEXT_FIELDS.filter(mapped).map(field),
    ...(mapped('metadata') ? [['metadata', kit.fields.metadata ?? 'null'] as const] : []),
    ...TIME_FIELDS.filter(mapped).map((name) => [name, text(kit.fields[name])] as const),
    ['kitsId', text(kit.kitsId)],
    ['ownerType', text(kit.ownerType)],
    client ? ['practitionerId', 'null'] : ['userId', text(kit.userId)],
  ] as (readonly [string, string])[];
};

const v2Pairs = (kit: Kit, mapping: Mapping) =>
  [
    ['kitsId', text(kit.kitsId)],
    ['legacyId', text(kit.legacyId)],
    ['ownerType', text(kit.ownerType)],
    ['userId', text(kit.userId)],
    ['practitionerId', text(kit.practitionerId)],
    ['kitNumber', text(kit.fields.kitNumber)],
    ...TEXT_FIELDS.map((name) => [name, text(kit.fields[name])] as const),
    ['metadata', kit.fields.metadata ?? 'null'],
    ['attributes', object(attributePairs(kit, mapping))],
    ...TIME_FIELDS.map((name) => [name, text(kit.fields[name])] as const),
  ] as (readonly [string, string])[];

/** How legacy ids of each source look. */
export type LegacyIdTypes = Readonly<Record<Source, LegacyIdType>>;

/** A kit as a contract shows it, as JSON text: the same from both stores, byte for byte. */
export const kitJson = (
  kit: Kit,
  contract: Contract,
  mapping: Mapping,
  idTypes: LegacyIdTypes,
): string =>
  object(
    contract === 'legacy' ? legacyPairs(kit, mapping, idTypes[kit.source]) : v2Pairs(kit, mapping),
  );

/** A page of kits as JSON text. */
export const pageJson = (kits: readonly string[], nextCursor: string | null): string =>
  object([
    ['kits', `[${kits.join(',')}]`],
    ['nextCursor', text(nextCursor)],
  ]);
