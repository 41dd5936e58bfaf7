import { z } from 'zod';
import { crossFaults } from './cross-checks.ts';

/** The two legacy tables, by their role; an organisation's own table names are in the mapping. */
export const SOURCES = ['kit', 'practitioner_kits'] as const;
export type Source = (typeof SOURCES)[number];

export type OwnerType = 'client' | 'practitioner';

/**
 * The columns of `kits` that a legacy column may feed: the name in TypeScript and JSON, the name in
 * SQL and its type. Everything else that a legacy table has is kept in `kits.legacy_attributes`.
 */
export const SHARED_COLUMNS = {
  kitNumber: { column: 'kit_number', type: 'text', required: true },
  status: { column: 'status', type: 'text', required: true },
  kitType: { column: 'kit_type', type: 'text', required: false },
  orderId: { column: 'order_id', type: 'text', required: false },
  metadata: { column: 'metadata', type: 'jsonb', required: false },
  registeredAt: { column: 'registered_at', type: 'timestamptz', required: false },
  collectedAt: { column: 'collected_at', type: 'timestamptz', required: false },
  receivedAt: { column: 'received_at', type: 'timestamptz', required: false },
  resultedAt: { column: 'resulted_at', type: 'timestamptz', required: false },
  createdAt: { column: 'created_at', type: 'timestamptz', required: false },
  updatedAt: { column: 'updated_at', type: 'timestamptz', required: false },
} as const;
export type SharedField = keyof typeof SHARED_COLUMNS;
export const SHARED_FIELDS = Object.keys(SHARED_COLUMNS) as readonly SharedField[];

/** PostgreSQL truncates longer identifiers silently, so two of them could become one. */
const identifier = z
  .string()
  .min(1, 'an identifier must not be empty')
  .refine((name) => Buffer.byteLength(name) <= 63, 'an identifier has at most 63 bytes')
  .refine((name) => !name.includes('\0'), 'an identifier must not contain a null character');

const tableName = z.strictObject({ schema: identifier.default('public'), table: identifier });
export type TableName = z.output<typeof tableName>;

const columnRule = z
  .union([
    identifier,
    z.strictObject({
      column: identifier,
      /** legacy value → unified value; of several legacy values with one unified value the first is the one written back.
       * JavaScript puts keys that look like whole numbers (`'10'`) before all others and in ascending order, however
       * they are written down: among these the smallest is the first. */
      values: z.record(z.string(), z.string().min(1)).optional(),
    }),
  ])
  .transform((rule): ColumnRule => (typeof rule === 'string' ? { column: rule } : rule));
export interface ColumnRule {
  readonly column: string;
  readonly values?: Readonly<Record<string, string>> | undefined;
}

const idGenerator = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('uuid') }),
  z.strictObject({
    kind: z.literal('sequence'),
    schema: identifier.default('public'),
    name: identifier,
  }),
]);
export type IdGenerator = z.output<typeof idGenerator>;

const columns = z.strictObject({
  kitNumber: columnRule,
  status: columnRule,
  kitType: columnRule.optional(),
  orderId: columnRule.optional(),
  metadata: columnRule.optional(),
  registeredAt: columnRule.optional(),
  collectedAt: columnRule.optional(),
  receivedAt: columnRule.optional(),
  resultedAt: columnRule.optional(),
  createdAt: columnRule.optional(),
  updatedAt: columnRule.optional(),
} satisfies Record<SharedField, z.ZodType>);

const clientOwner = z.strictObject({ type: z.literal('client'), userId: identifier });
const practitionerOwner = z.strictObject({
  type: z.literal('practitioner'),
  practitionerId: identifier,
  /** Where the practitioner's user is found. */
  practitioners: z.strictObject({
    ...tableName.shape,
    id: identifier.default('id'),
    userId: identifier.default('user_id'),
  }),
});

/** A column that no rule names and that the API shows nevertheless. */
const shownColumn = z
  .union([
    identifier,
    z.strictObject({
      column: identifier,
      type: z.enum(['string', 'number', 'boolean', 'json']).default('string'),
    }),
  ])
  .transform((rule) =>
    typeof rule === 'string' ? { column: rule, type: 'string' as const } : rule,
  );
/** What the API shows of such a column, and takes for it. */
export type ShownColumn = z.output<typeof shownColumn>;

/** The kits API: it changes nothing of what is copied, so a report and an installed schema do not depend on it. */
const api = z
  .strictObject({
    /** Name in JSON → column. Nothing else of what `legacy_attributes` keeps leaves the database. */
    attributes: z
      .record(z.string().regex(/^[a-z][A-Za-z0-9]{0,62}$/, 'a camelCase name'), shownColumn)
      .default({}),
  })
  .prefault({});

const sourceShape = {
  ...tableName.shape,
  id: z
    .strictObject({ column: identifier.default('id'), generator: idGenerator.optional() })
    .prefault({}),
  columns,
  api,
};
const kitSource = z.strictObject({ ...sourceShape, owner: clientOwner });
const practitionerKitsSource = z.strictObject({ ...sourceShape, owner: practitionerOwner });

/** The types that an owner's id may have in `kits`, as in the organisation's own tables. */
const ownerIdType = z.enum(['uuid', 'bigint', 'integer', 'text']);
export type OwnerIdType = z.output<typeof ownerIdType>;

export const mappingSchema = z
  .strictObject({
    version: z.literal(1),
    name: z.string().min(1).max(100),
    /** The schema in which `kits` and `kit_id_map` are made, and the id types of its owners. */
    target: z
      .strictObject({
        schema: identifier.default('public'),
        userIdType: ownerIdType.default('uuid'),
        practitionerIdType: ownerIdType.default('uuid'),
      })
      .prefault({}),
    users: z.strictObject({ ...tableName.shape, id: identifier.default('id') }),
    sources: z.strictObject({ kit: kitSource, practitioner_kits: practitionerKitsSource }),
  })
  .superRefine(
    (mapping, context) => {
      for (const fault of crossFaults(mapping, SOURCES, SHARED_FIELDS))
        context.addIssue({ code: 'custom', ...fault });
    },
    // Also where a part is faulty by itself: whoever writes a mapping wants to know all of it at once.
    { when: () => true },
  );

/** What a mapping file contains, before defaults are filled in. */
export type MappingInput = z.input<typeof mappingSchema>;
/** A validated mapping. */
export type Mapping = z.output<typeof mappingSchema>;
export type SourceMapping = Mapping['sources'][Source];
