import {
  type Kit,
  parseMapping,
  referenceMapping,
  type SharedField,
  type Source,
} from '@unified-kits/domain';

const { kit, practitioner_kits } = referenceMapping.sources;
const { orderId: _orderId, metadata: _metadata, resultedAt: _resultedAt, ...fewer } = kit.columns;
const { cancelled: _cancelled, ...withoutCancelled } =
  practitioner_kits.columns.status.values ?? {};

/**
 * A mapping in which the two sources differ in all that the API and the jobs look at. Clients' kits have no
 * order, metadata or time of results, a vocabulary of kit types, two words for one status, and an attribute
 * of every type; practitioners' kits have every column, no attribute, and cannot be cancelled.
 */
export const unlikeMapping = parseMapping({
  ...referenceMapping,
  name: 'unlike',
  sources: {
    kit: {
      ...kit,
      api: {
        attributes: {
          notes: 'notes',
          price: { column: 'price', type: 'number' },
          consent: { column: 'consent', type: 'boolean' },
          tags: { column: 'tags', type: 'json' },
        },
      },
      columns: {
        ...fewer,
        kitType: { column: 'kit_type', values: { B: 'blood', S: 'saliva' } },
        status: {
          column: 'status',
          values: { ...kit.columns.status.values, done: 'completed', lost: 'nowhere' },
        },
      },
    },
    practitioner_kits: {
      ...practitioner_kits,
      api: {},
      columns: {
        ...practitioner_kits.columns,
        status: { column: 'status', values: withoutCancelled },
      },
    },
  },
});

/** The same where the legacy tables already speak the words of `kits`. */
export const plainMapping = parseMapping({
  ...referenceMapping,
  name: 'plain',
  sources: {
    kit: { ...kit, columns: { ...kit.columns, status: 'status' } },
    practitioner_kits: {
      ...practitioner_kits,
      columns: { ...practitioner_kits.columns, status: 'status' },
    },
  },
});

const NO_FIELDS: Readonly<Record<SharedField, null>> = {
  kitNumber: null,
  status: null,
  kitType: null,
  orderId: null,
  metadata: null,
  registeredAt: null,
  collectedAt: null,
  receivedAt: null,
  resultedAt: null,
  createdAt: null,
  updatedAt: null,
};

type Changes = Partial<Omit<Kit, 'fields'>> & { readonly fields?: Partial<Kit['fields']> };

/** A kit of a source, new and bare, with what a test says of it. */
export const kitOf = (source: Source, { fields, ...changes }: Changes = {}): Kit => ({
  source,
  legacyId: source === 'kit' ? '7' : '00000000-0000-4000-8000-00000000000a',
  kitsId: '01887442-e0c0-8dee-a894-84e3b29c6231',
  ownerType: source === 'kit' ? 'client' : 'practitioner',
  userId: '00000000-0000-4000-8000-0000000000aa',
  practitionerId: source === 'kit' ? null : '00000000-0000-4000-8000-0000000000bb',
  fields: { ...NO_FIELDS, kitNumber: 'K1', status: 'created', ...fields },
  legacyFields: {},
  attributes: {},
  ...changes,
});
