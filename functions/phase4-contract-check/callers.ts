import type { Caller, Kit, Mapping, OwnerIdType } from '@unified-kits/domain';
import type { CallerKind } from './contract-request.ts';

/** Well-formed, and hardly anybody's. */
const NOBODYS: Readonly<Record<OwnerIdType, string>> = {
  uuid: 'ffffffff-ffff-4fff-bfff-ffffffffffff',
  integer: '2147483647',
  bigint: '9223372036854775807',
  text: 'nobody of the contract check',
};

export interface NamedCaller {
  readonly kind: CallerKind;
  readonly caller: Caller;
}

/** Who may ask for the kits of a sample: their owners, and for each kit everybody else. */
export interface Callers {
  readonly nobodys: Caller;
  /** Undefined for a kit that nobody owns. */
  ownerOf(kit: Kit): Caller | undefined;
  strangersTo(kit: Kit): readonly NamedCaller[];
}

/** The first after a place, going round, that a condition holds for. */
const after = <Item>(
  items: readonly Item[],
  place: number,
  holds: (item: Item) => boolean,
): Item | undefined => {
  for (let step = 1; step < items.length; step += 1) {
    const item = items[(place + step) % items.length];
    if (item !== undefined && holds(item)) return item;
  }
  return undefined;
};

export const callersOf = (mapping: Mapping, kits: readonly Kit[]): Callers => {
  const nobodys: Caller = { userId: NOBODYS[mapping.target.userIdType] };
  const ownerOf = ({ ownerType, userId, practitionerId }: Kit): Caller | undefined => {
    if (ownerType === 'client') return userId === null ? undefined : { userId };
    if (practitionerId === null) return undefined;
    return { userId: userId ?? nobodys.userId, practitionerId };
  };
  const another = (kit: Kit, ownerType: Kit['ownerType']): Caller | undefined => {
    const found = after(kits, kits.indexOf(kit), (other) => {
      if (other.ownerType !== ownerType) return false;
      if (other.userId === kit.userId) return false;
      return ownerType === 'client' || other.practitionerId !== kit.practitionerId;
    });
    return found === undefined ? undefined : ownerOf(found);
  };
  return {
    nobodys,
    ownerOf,
    strangersTo(kit) {
      const named = (kind: CallerKind, caller: Caller | undefined): NamedCaller[] =>
        caller === undefined ? [] : [{ kind, caller }];
      return [
        ...named('another client', another(kit, 'client')),
        ...named('another practitioner', another(kit, 'practitioner')),
        ...(kit.ownerType === 'practitioner' && kit.userId !== null
          ? named('practitioner without the claim', { userId: kit.userId })
          : []),
        ...named('owner of nothing', nobodys),
      ];
    },
  };
};
