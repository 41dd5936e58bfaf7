import {
  assertMaySet,
  KIT_STATUSES,
  KitForbidden,
  KitNotFound,
  ownerFor,
  owns,
  visible,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';
import { kitOf } from '../support/example-kits.ts';

const CLIENT = { userId: 'u1' };
const PRACTITIONER = { userId: 'u1', practitionerId: 'p1' };
const clients = (userId: string | null) => kitOf('kit', { userId });
const practitioners = (practitionerId: string | null, userId: string | null = 'u1') =>
  kitOf('practitioner_kits', { practitionerId, userId });

describe('a kit', () => {
  it.each([
    ['its client', CLIENT, clients('u1'), true],
    ['its client, who is a practitioner too', PRACTITIONER, clients('u1'), true],
    ['another client', CLIENT, clients('u2'), false],
    ['a client, where nobody is known', CLIENT, clients(null), false],
    ['a practitioner whose id is the client`s', PRACTITIONER, clients('p1'), false],
    ['its practitioner', PRACTITIONER, practitioners('p1'), true],
    ['its practitioner, whose user has changed', PRACTITIONER, practitioners('p1', 'u2'), true],
    ['the practitioner`s user without that claim', CLIENT, practitioners('p1', 'u1'), false],
    ['another practitioner of the same user', PRACTITIONER, practitioners('p2', 'u1'), false],
    ['a practitioner, where none is known', PRACTITIONER, practitioners(null), false],
    ['a client, where no practitioner is known', CLIENT, practitioners(null), false],
  ])('and %s', (_who, caller, kit, theirs) => {
    expect(owns(caller, kit)).toBe(theirs);
    if (theirs) expect(visible(caller, kit)).toBe(kit);
    else expect(() => visible(caller, kit)).toThrow(KitNotFound);
  });

  it('of somebody else is not there, in the words of one that does not exist', () => {
    const messages = [clients('u2'), practitioners('p2'), undefined].map((kit) => {
      try {
        return visible(PRACTITIONER, kit).legacyId;
      } catch (error) {
        return String(error);
      }
    });
    expect(messages).toEqual(Array(3).fill('KitNotFound: there is no such kit'));
  });
});

describe('the owner that a caller acts for', () => {
  it('is the caller`s user under the clients` routes, practitioner or not', () => {
    for (const caller of [CLIENT, PRACTITIONER])
      expect(ownerFor(caller, 'client')).toEqual({ ownerType: 'client', id: 'u1' });
  });

  it('is the practitioner of the token under the practitioners` routes', () => {
    const owner = { ownerType: 'practitioner', id: 'p1' };
    expect(ownerFor(PRACTITIONER, 'practitioner')).toEqual(owner);
    expect(ownerFor(PRACTITIONER, 'practitioner', 'p1')).toEqual(owner);
  });

  it.each([
    ['of another practitioner', PRACTITIONER, 'p2'],
    ['of a caller who is none', CLIENT, undefined],
    ['of a practitioner whose user calls without the claim', CLIENT, 'p1'],
  ])('is not there under the routes %s', (_whose, caller, practitionerId) => {
    const acting = () => ownerFor(caller, 'practitioner', practitionerId);
    expect(acting).toThrow(KitNotFound);
    expect(acting).toThrow('there is no such practitioner');
  });
});

describe('an owner', () => {
  it.each(KIT_STATUSES)('may set %s, or is told who does', (status) => {
    if (['registered', 'collected', 'cancelled'].includes(status))
      expect(() => assertMaySet(status)).not.toThrow();
    else {
      expect(() => assertMaySet(status)).toThrow(KitForbidden);
      expect(() => assertMaySet(status)).toThrow(
        'only the laboratory sets this status; an owner may set registered, collected, cancelled',
      );
    }
  });
});
