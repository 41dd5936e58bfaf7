import { canonicalId } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const INTEGERS = [
  ['smallint', -(2n ** 15n), 2n ** 15n - 1n],
  ['integer', -(2n ** 31n), 2n ** 31n - 1n],
  ['bigint', -(2n ** 63n), 2n ** 63n - 1n],
] as const;

describe('an id of type uuid', () => {
  it('is in lower case, whatever case it came in', () => {
    fc.assert(
      fc.property(fc.uuid(), (id) => {
        expect(canonicalId(id, 'uuid')).toBe(id);
        expect(canonicalId(id.toUpperCase(), 'uuid')).toBe(id);
      }),
    );
  });

  const ID = '01887442-e0c0-8dee-a894-84e3b29c6231';
  it.each([
    '',
    '7',
    `{${ID}}`,
    ` ${ID}`,
    `${ID}\n`,
    `${ID}0`,
    `0${ID}`,
    ID.slice(1),
    ID.slice(0, -1),
    ID.replaceAll('-', ''),
    ID.replace('a894-', 'a894'),
    ID.replace('0', 'g'),
    `${ID.slice(0, 24)}${'z'.repeat(12)}`,
  ])('is not %j', (text) => {
    expect(canonicalId(text, 'uuid')).toBeUndefined();
  });
});

describe.each(INTEGERS)('an id of type %s', (type, least, most) => {
  it('is any whole number that the type holds, digit by digit', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: least, max: most }), (id) => {
        expect(canonicalId(String(id), type)).toBe(String(id));
      }),
    );
    for (const id of [least, -1n, 0n, 9n, 10n, most])
      expect(canonicalId(String(id), type)).toBe(String(id));
  });

  it('is no number beyond what the type holds, which would be another kit`s', () => {
    for (const id of [least - 1n, most + 1n, 2n ** 64n, 2n ** 64n + 7n, 10n ** 30n])
      expect(canonicalId(String(id), type)).toBeUndefined();
  });

  it.each([
    '',
    '-',
    '+7',
    ' 7',
    '7 ',
    '7\n',
    '07',
    '00',
    '-0',
    '-07',
    '0x7',
    '0_7',
    '7.0',
    '7e0',
    '٧',
  ])('is not %j: one kit has one address', (text) => {
    expect(canonicalId(text, type)).toBeUndefined();
  });
});

describe('an id of type text', () => {
  it('is any text that Postgres can store, as it stands', () => {
    for (const id of ['K 1', ' ', '07', 'É', '💉', 'x'.repeat(255)])
      expect(canonicalId(id, 'text')).toBe(id);
  });

  it.each([
    ['empty', ''],
    ['longer than 255 characters', 'x'.repeat(256)],
    ['with a null character', 'a\0b'],
    ['with half a character', 'a\ud800'],
  ])('is not one that is %s', (_what, text) => {
    expect(canonicalId(text, 'text')).toBeUndefined();
  });
});
