import {
  assertMaySet,
  type Caller,
  CreationUnsupported,
  canonicalId,
  type Kit,
  KitNotFound,
  KitNumberTaken,
  type KitReference,
  type KitStatus,
  type KitValues,
  kitEvent,
  type LegacyIdTypes,
  legacyStatus,
  type Mapping,
  mayFollow,
  type NewValue,
  type Owner,
  OwnerUnknown,
  PositionUnknown,
  type Source,
  StatusUnreachable,
  statusWords,
  TIME_OF_STATUS,
  visible,
} from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import { noteStatusTime } from '../jobs/status-time.ts';
import { checkCreatable, checkValues } from './check-values.ts';
import { type Comparison, compareKits } from './compare-kits.ts';
import {
  claimKey,
  type IdempotentRequest,
  keepResponse,
  type StoredResponse,
} from './idempotency.ts';
import type { PageQuery } from './kit-store.ts';
import { recordKitEvent } from './record-kit-event.ts';
import { assertAuthoritative, READ, type StoreAccessOptions, storeAccess } from './store-access.ts';

/** What a new kit is made of, and what is answered once it is there. */
export interface CreateRequest {
  readonly owner: Owner;
  readonly values: KitValues;
  readonly idempotency?: IdempotentRequest | undefined;
  readonly respond: (kit: Kit) => StoredResponse;
}

export interface ChangeRequest {
  readonly reference: KitReference;
  readonly caller: Caller;
  /** Values of the kit's own source, which is known once the kit is. */
  readonly valuesFor: (kit: Kit) => KitValues;
  readonly statusFor: (kit: Kit) => KitStatus | undefined;
  /**
   * Throws where the kit is not in the state that the request was made for; `made` where it is as the request
   * would make it already.
   */
  readonly precondition: (kit: Kit) => 'made' | undefined;
}

/** Kits for their owners, whichever store is authoritative. */
export interface KitsService {
  idTypes(): Promise<LegacyIdTypes>;
  /** @throws {KitNotFound} also for somebody else's kit. */
  find(caller: Caller, reference: KitReference): Promise<Kit>;
  /** @throws {PositionUnknown} */
  list(owner: Owner, page: PageQuery): Promise<readonly Kit[]>;
  /** @throws {PositionUnknown} */
  listAll(caller: Caller, page: PageQuery): Promise<readonly Kit[]>;
  /**
   * Makes a kit, its event and its response in one transaction.
   *
   * @throws {KitNumberTaken} {OwnerUnknown} {KitRefused} {CreationUnsupported} {IdempotencyKeyReused} {IdempotencyKeyInUse}
   */
  create(request: CreateRequest): Promise<StoredResponse & { readonly replayed: boolean }>;
  /** @throws {KitNotFound} {KitForbidden} {StatusUnreachable} {KitRefused}, and what the precondition throws. */
  change(request: ChangeRequest): Promise<Kit>;
  /** Looks at kits in both stores, where both are in step. */
  compare(source: Source, legacyIds: readonly string[]): Promise<Comparison>;
}

/** @throws {KitNotFound} for what no kit's id can be. */
const canonical = ({ sources }: Binding, reference: KitReference): KitReference => {
  const [text, type] =
    'legacyId' in reference
      ? [reference.legacyId, sources[reference.source].idType]
      : [reference.kitsId, 'uuid'];
  const id = canonicalId(text, type);
  if (id === undefined) throw new KitNotFound('there is no such kit');
  return 'legacyId' in reference ? { ...reference, legacyId: id } : { kitsId: id };
};

/** @throws {PositionUnknown} for a position that is no id of the list; anybody can make a cursor. */
const canonicalPage = ({ after, limit }: PageQuery, idType: string): PageQuery => {
  const id = after === undefined ? undefined : canonicalId(after, idType);
  if (id !== after) throw new PositionUnknown('no page begins there');
  return { after, limit };
};

const sourceOf = ({ ownerType }: Owner): Source =>
  ownerType === 'client' ? 'kit' : 'practitioner_kits';

const NOW: NewValue = { now: true };

/** The values with the times that the mapping has columns for. */
const stamped = (
  mapping: Mapping,
  source: Source,
  values: KitValues,
  times: readonly ('createdAt' | 'updatedAt')[],
): KitValues => {
  const { columns } = mapping.sources[source];
  const now = times.filter((field) => columns[field] !== undefined);
  return {
    ...values,
    fields: { ...values.fields, ...Object.fromEntries(now.map((f) => [f, NOW])) },
  };
};

const withoutNulls = <Values extends object>(values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null)) as Values;

/** @throws {CreationUnsupported} where the source has no word for a kit that is new. */
const statusAtBirth = (mapping: Mapping, source: Source): string => {
  if (![...statusWords(mapping, source, 'legacy').values()].includes('created'))
    throw new CreationUnsupported(
      `the mapping of ${source} has no status that means "created": name one among the values of its status`,
    );
  return legacyStatus(mapping, source, 'created');
};

/** The values of a new kit. Null and absent are the same here: both take the column's default. */
const born = (mapping: Mapping, source: Source, { fields, attributes }: KitValues): KitValues =>
  stamped(
    mapping,
    source,
    {
      fields: { ...withoutNulls(fields), status: statusAtBirth(mapping, source) },
      attributes: withoutNulls(attributes),
    },
    ['createdAt', 'updatedAt'],
  );

/**
 * What a change of status sets: the status in the source's own words, and its time where none stands yet.
 *
 * @throws {KitForbidden} {StatusUnreachable} {KitRefused}
 */
const statusValues = (
  mapping: Mapping,
  kit: Kit,
  wished: KitStatus | undefined,
): KitValues['fields'] => {
  // The same again is no change: a client that repeats itself after a lost answer is not refused.
  if (wished === undefined || wished === kit.fields.status) return {};
  assertMaySet(wished);
  if (!mayFollow(kit.fields.status, wished))
    throw new StatusUnreachable(`this status cannot follow the one that the kit has`);
  const time = TIME_OF_STATUS[wished];
  const timed =
    time !== undefined &&
    mapping.sources[kit.source].columns[time] !== undefined &&
    kit.fields[time] === null;
  return { status: legacyStatus(mapping, kit.source, wished), ...(timed ? { [time]: NOW } : {}) };
};

const isEmpty = ({ fields, attributes }: KitValues): boolean =>
  Object.keys(fields).length + Object.keys(attributes).length === 0;

/** The service over one database. */
export const kitsService = (options: StoreAccessOptions): KitsService => {
  const { db, mapping } = options;
  const { bound, reading, writing } = storeAccess(options);

  return {
    idTypes: async () => (await bound()).idTypes,
    async find(caller, reference) {
      const kit = await reading(({ binding, stores }, store, session) =>
        stores[store].find(session, canonical(binding, reference), caller),
      );
      return visible(caller, kit);
    },
    list: (owner, page) =>
      reading(({ binding, stores }, store, session) => {
        const { idType } = binding.sources[sourceOf(owner)];
        return stores[store].list(session, owner, canonicalPage(page, idType));
      }),
    listAll: (caller, page) =>
      reading(({ stores }, store, session) =>
        stores[store].listAll(session, caller, canonicalPage(page, 'uuid')),
      ),
    create: ({ owner, values, idempotency, respond }) =>
      writing(async ({ binding, stores }, store, session) => {
        const source = binding.sources[sourceOf(owner)];
        const full = born(mapping, source.source, values);
        checkCreatable(source, full);
        checkValues(source, full);
        const stored = idempotency === undefined ? undefined : await claimKey(session, idempotency);
        if (stored !== undefined) return { ...stored, replayed: true };
        const { kitNumber } = values.fields;
        const check = await stores[store].checkBirth(
          session,
          owner,
          typeof kitNumber === 'string' ? kitNumber : '',
        );
        assertAuthoritative(store, check.stage);
        if (!check.ownerKnown)
          throw new OwnerUnknown(
            'the owner of this kit is not known, or is nobody who can own kits',
          );
        if (check.numberTaken) throw new KitNumberTaken('another kit has this number');
        const kit = await stores[store].insert(session, owner, full);
        await recordKitEvent(session, kitEvent(undefined, kit));
        const response = respond(kit);
        if (idempotency !== undefined) await keepResponse(session, idempotency, response);
        return { ...response, replayed: false };
      }),
    async change({ reference, caller, valuesFor, statusFor, precondition }) {
      return writing(async ({ binding, stores }, store, session) => {
        const kept = canonical(binding, reference);
        const found = await stores[store].find(session, kept, caller, 'lock');
        // Before anything is refused on the strength of a row that is not the valid one.
        assertAuthoritative(store, found.stage);
        const before = visible(caller, found.value);
        if (precondition(before) === 'made') return before;
        const given = valuesFor(before);
        const values: KitValues = {
          fields: { ...given.fields, ...statusValues(mapping, before, statusFor(before)) },
          attributes: given.attributes,
        };
        if (isEmpty(values)) return before;
        checkValues(binding.sources[before.source], values);
        const after = await stores[store].update(
          session,
          before,
          stamped(mapping, before.source, values, ['updatedAt']),
        );
        if (after === undefined) throw new KitNotFound('there is no such kit');
        if (values.fields.status !== undefined) await noteStatusTime(session, after);
        await recordKitEvent(session, kitEvent(before, after));
        return after;
      });
    },
    async compare(source, legacyIds) {
      // Never bound anew for it: what nobody waits for must not disturb those who wait.
      const service = await bound();
      return db.transaction({ ...READ, isolation: 'repeatable read' }, (session) =>
        compareKits(session, service, source, legacyIds),
      );
    },
  };
};
