import { KitForbidden, KitNotFound } from '../errors.ts';
import type { OwnerType } from '../mapping/schema.ts';
import type { Kit } from './kit.ts';
import type { KitStatus } from './lifecycle.ts';

/**
 * Who asks. Everybody with a token is a user and may have kits as a client; a token may say in addition
 * that its bearer is a practitioner.
 */
export interface Caller {
  readonly userId: string;
  readonly practitionerId?: string | undefined;
}

/** Whose kit a new one is: what ties it to its owner in either store. */
export interface Owner {
  readonly ownerType: OwnerType;
  /** The user of a client's kit, the practitioner of a practitioner's. */
  readonly id: string;
}

/** Whether a kit is the caller's own. A practitioner's user does not own the practitioner's kits by itself. */
export const owns = (
  caller: Caller,
  kit: Pick<Kit, 'ownerType' | 'userId' | 'practitionerId'>,
): boolean =>
  kit.ownerType === 'client'
    ? kit.userId === caller.userId
    : caller.practitionerId !== undefined && kit.practitionerId === caller.practitionerId;

/**
 * The kit, if the caller may know of it. What is somebody else's is not there: another answer would tell
 * that the id exists.
 *
 * @throws {KitNotFound}
 */
export const visible = (caller: Caller, kit: Kit | undefined): Kit => {
  if (kit === undefined || !owns(caller, kit)) throw new KitNotFound('there is no such kit');
  return kit;
};

/**
 * The owner that a caller acts for under a route.
 *
 * @throws {KitNotFound} for another practitioner's kits, or those of a caller who is none.
 */
export const ownerFor = (caller: Caller, ownerType: OwnerType, practitionerId?: string): Owner => {
  if (ownerType === 'client') return { ownerType, id: caller.userId };
  if (
    caller.practitionerId === undefined ||
    (practitionerId !== undefined && practitionerId !== caller.practitionerId)
  )
    throw new KitNotFound('there is no such practitioner');
  return { ownerType, id: caller.practitionerId };
};

/** What an owner may say of a kit; the rest of its life is the laboratory's to tell, through jobs. */
const OWNERS_STATUSES: ReadonlySet<KitStatus> = new Set(['registered', 'collected', 'cancelled']);

/** @throws {KitForbidden} for a status that only the laboratory gives. */
export const assertMaySet = (status: KitStatus): void => {
  if (!OWNERS_STATUSES.has(status))
    throw new KitForbidden(
      `only the laboratory sets this status; an owner may set ${[...OWNERS_STATUSES].join(', ')}`,
    );
};
