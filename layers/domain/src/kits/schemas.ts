import { z } from 'zod';
import type { Mapping, OwnerIdType, SharedField, ShownColumn, Source } from '../mapping/schema.ts';
import { KIT_STATUSES } from './lifecycle.ts';
import type { LegacyIdType } from './representation.ts';
import { statusWords } from './requests.ts';

/** Whatever a column may hold, it may be null: which values must be there is the organisation's to say. */
const text = z.string().nullable();

/** A word of a vocabulary. Not an enum: a value that the mapping does not name is shown as it is. */
const word = (known: Iterable<string>) => text.meta({ examples: [...known] });

const time = z
  .string()
  .regex(/^(?:\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z|-?infinity|\d{4,}-\d\d-\d\d [\d:.]+\+00 BC)$/)
  .nullable()
  .describe(
    'UTC with microseconds. What that cannot say is as PostgreSQL writes it: "infinity", "-infinity", a year BC.',
  );

const kitNumber = text.describe('The number printed on the kit.');
const metadata = z
  .unknown()
  .describe('Any JSON value. Numbers keep every digit that was stored; a double may not.');
const kitsId = z.guid().describe('The same in every contract, and for good.');

const OWNER_IDS: Readonly<Record<OwnerIdType, () => z.ZodType>> = {
  uuid: () => z.guid(),
  bigint: () => z.string().regex(/^-?\d+$/),
  integer: () => z.string().regex(/^-?\d+$/),
  text: () => z.string(),
};

/** PostgreSQL writes what is no number to JSON as text. */
const number = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])]).nullable();

const SHOWN: Readonly<Record<ShownColumn['type'], z.ZodType>> = {
  string: text,
  number,
  boolean: z.boolean().nullable(),
  json: z.unknown(),
};

const shownOf = (mapping: Mapping, source: Source) =>
  Object.fromEntries(
    Object.entries(mapping.sources[source].api.attributes).map(
      ([name, { type }]) => [name, SHOWN[type]] as const,
    ),
  );

const legacyId = (type: LegacyIdType): z.ZodType =>
  type === 'integer' ? z.number().meta({ type: 'integer', format: 'int64' }) : z.string();

/** A source's owners: the kind, and the ids of which a client has but one. */
const ownersOf = ({ target }: Mapping, source: Source) => {
  const userId = OWNER_IDS[target.userIdType]();
  return source === 'kit'
    ? { ownerType: z.literal('client'), userId, practitionerId: z.null() }
    : {
        ownerType: z.literal('practitioner'),
        userId: userId
          .nullable()
          .describe('The user whom the practitioner is; null where nobody is known.'),
        practitionerId: OWNER_IDS[target.practitionerIdType](),
      };
};

const SHARED = {
  kitType: text,
  orderId: text,
  metadata,
  registeredAt: time,
  collectedAt: time,
  receivedAt: time,
  resultedAt: time,
  createdAt: time,
  updatedAt: time,
} as const satisfies Partial<Record<SharedField, z.ZodType>>;

const mappedOf = (mapping: Mapping, source: Source) =>
  Object.fromEntries(
    Object.entries(SHARED).filter(
      ([field]) => mapping.sources[source].columns[field as SharedField] !== undefined,
    ),
  );

/** A kit as the legacy contract shows it: exactly what `kitJson` writes. */
export const legacyKitSchema = (mapping: Mapping, source: Source, idType: LegacyIdType) =>
  z.strictObject({
    id: legacyId(idType),
    kitNumber,
    ...shownOf(mapping, source),
    status: word(statusWords(mapping, source, 'legacy').keys()),
    ...mappedOf(mapping, source),
    kitsId,
    ...ownersOf(mapping, source),
  });

/** A kit of one source as the unified contract shows it: exactly what `kitJson` writes. */
export const unifiedKitSchema = (mapping: Mapping, source: Source) =>
  z.strictObject({
    kitsId,
    legacyId: z.string().describe('As text, whatever its type in the legacy contract.'),
    ...ownersOf(mapping, source),
    kitNumber,
    status: word(KIT_STATUSES),
    ...SHARED,
    attributes: z.strictObject(shownOf(mapping, source)),
  });

/** A page of kits: exactly what `pageJson` writes. */
export const kitPageSchema = (kit: z.ZodType) =>
  z.strictObject({
    kits: z.array(kit),
    nextCursor: text.describe('Null on the last page.'),
  });
