import { type FoundKeys, JobRejected, type KitKey, resolve } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const A: KitKey = { source: 'kit', legacyId: '1' };
const B: KitKey = { source: 'kit', legacyId: '2' };
/** Another kit: ids are unique within a source only. */
const A_OF_PRACTITIONERS: KitKey = { source: 'practitioner_kits', legacyId: '1' };

const REFERENCES = ['byKitsId', 'byKitId', 'byPractitionerKitId', 'byKitNumber'] as const;
type Given = Parameters<typeof resolve>[0];
const given = (...which: (keyof FoundKeys)[]): Given => ({
  byKitsId: which.includes('byKitsId'),
  byKitId: which.includes('byKitId'),
  byPractitionerKitId: which.includes('byPractitionerKitId'),
  byKitNumber: which.includes('byKitNumber'),
});
const found = (keys: Partial<FoundKeys>): FoundKeys => ({
  byKitsId: undefined,
  byKitId: undefined,
  byPractitionerKitId: undefined,
  byKitNumber: [],
  ...keys,
});
const rejection = (which: Given, keys: FoundKeys): string => {
  try {
    resolve(which, keys);
  } catch (error) {
    if (error instanceof JobRejected) return `${error.name} ${error.reason}: ${error.message}`;
    throw error;
  }
  return 'resolved';
};

describe('the kit that a job means', () => {
  it.each([
    ['its kits id', { byKitsId: A, byKitId: B, byKitNumber: [B] }, 'kitsId'],
    ['else its legacy id', { byKitId: A, byPractitionerKitId: B, byKitNumber: [B] }, 'legacyId'],
    ['of a practitioner as well', { byPractitionerKitId: A, byKitNumber: [B] }, 'legacyId'],
    ['else its kit number', { byKitNumber: [A] }, 'kitNumber'],
  ] as const)('is that of %s', (_what, keys, path) => {
    expect(resolve(given(...REFERENCES), found(keys))).toEqual({ key: A, path, conflicting: true });
  });

  it('is found by what is left when the first references lead nowhere, and that is a conflict', () => {
    expect(resolve(given('byKitsId', 'byKitNumber'), found({ byKitNumber: [A] }))).toEqual({
      key: A,
      path: 'kitNumber',
      conflicting: true,
    });
  });

  it.each([
    ['another kit', B],
    ['the kit with the same id of the other table', A_OF_PRACTITIONERS],
    ['no kit', undefined],
  ])('is in doubt where another reference leads to %s', (_what, other) => {
    const keys = found({ byKitsId: A, byKitId: other });
    expect(resolve(given('byKitsId', 'byKitId'), keys).conflicting).toBe(true);
  });

  it('is in doubt where the kit number is that of two, but not unknown', () => {
    const keys = found({ byKitId: A, byKitNumber: [A, B] });
    expect(resolve(given('byKitId', 'byKitNumber'), keys)).toEqual({
      key: A,
      path: 'legacyId',
      conflicting: true,
    });
  });

  it('is unknown when nothing leads to one, and ambiguous when only the number of two does', () => {
    expect(rejection(given(...REFERENCES), found({}))).toBe(
      'JobRejected unknown-kit: no kit has any of the references',
    );
    expect(rejection(given('byKitNumber'), found({ byKitNumber: [A, B] }))).toBe(
      'JobRejected ambiguous-kit: two kits have this kit number, and nothing else is given',
    );
  });

  it('is beyond doubt when every reference that was given leads to it, and only then', () => {
    const key = fc.constantFrom(A, A, A, B, A_OF_PRACTITIONERS, undefined);
    fc.assert(
      fc.property(
        fc.subarray([...REFERENCES], { minLength: 1 }),
        fc.array(key, { minLength: 4 }),
        (which, keys) => {
          const led = new Map(which.map((reference, index) => [reference, keys[index]]));
          const number = led.get('byKitNumber');
          const all = found({
            byKitsId: led.get('byKitsId'),
            byKitId: led.get('byKitId'),
            byPractitionerKitId: led.get('byPractitionerKitId'),
            byKitNumber: number === undefined ? [] : [number],
          });
          fc.pre([...led.values()].some((one) => one !== undefined));
          const { key: meant, conflicting } = resolve(given(...which), all);
          // Copies, for the references of one kit are found by different queries.
          expect(conflicting).toBe(
            [...led.values()].some((one) => JSON.stringify(one) !== JSON.stringify(meant)),
          );
          expect(resolve(given(...which), structuredClone(all))).toEqual({
            ...resolve(given(...which), all),
          });
        },
      ),
    );
  });
});
