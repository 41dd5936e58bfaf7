import { InvalidInput } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCursor, encodeCursor } from '../../functions/phase4-api/http/cursor.ts';
import { Problem } from '../../functions/phase4-api/http/problem.ts';

const position = fc.string({ unit: 'grapheme', maxLength: 60 });
const isRefused = (text: string, scope: string): boolean => {
  try {
    decodeCursor(text, scope);
    return false;
  } catch (error) {
    return error instanceof Problem && error.kind === 'invalid-cursor';
  }
};

describe('a cursor', () => {
  it('leads back to its position', () => {
    fc.assert(
      fc.property(position, fc.string(), (after, scope) => {
        const cursor = encodeCursor({ after }, scope);
        expect(cursor).toMatch(/^[\w-]+$/);
        expect(decodeCursor(cursor, scope)).toEqual({ after });
      }),
    );
  });

  it('is refused when one character of it is changed, added or missing', () => {
    const characters = fc.string({ minLength: 1, maxLength: 1 });
    fc.assert(
      fc.property(position, fc.nat(), characters, (after, seed, character) => {
        const cursor = encodeCursor({ after }, 'GET /kits');
        const at = seed % cursor.length;
        const changed = cursor.slice(0, at) + character + cursor.slice(at + 1);
        fc.pre(changed !== cursor);
        expect(isRefused(changed, 'GET /kits')).toBe(true);
        expect(isRefused(cursor.slice(0, at) + character + cursor.slice(at), 'GET /kits')).toBe(
          true,
        );
        expect(isRefused(cursor.slice(0, at) + cursor.slice(at + 1), 'GET /kits')).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused when any bit of its last character is changed', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const after of ['a', 'ab', 'abc']) {
      const cursor = encodeCursor({ after }, '');
      const others = [...alphabet].filter((last) => !cursor.endsWith(last));
      for (const last of others) expect(isRefused(cursor.slice(0, -1) + last, '')).toBe(true);
    }
  });

  it('is refused by another list', () => {
    const cursor = encodeCursor({ after: '42' }, 'GET /kits of user 1');
    expect(isRefused(cursor, 'GET /kits of user 2')).toBe(true);
    expect(isRefused(cursor, 'GET /kits of user 1')).toBe(false);
  });

  it('does not mix up where its scope ends and its position begins', () => {
    expect(encodeCursor({ after: 'bc' }, 'a').slice(0, 17)).not.toBe(
      encodeCursor({ after: 'c' }, 'ab').slice(0, 17),
    );
  });

  it.each(['', 'x', '====', 'AQ', '\ud800', 'é'.repeat(10)])('is never %j', (text) => {
    expect(isRefused(text, '')).toBe(true);
  });

  it('has a position of at most 1,020 bytes', () => {
    const longest = { after: 'é'.repeat(510) };
    expect(decodeCursor(encodeCursor(longest, 's'), 's')).toEqual(longest);
    expect(() => encodeCursor({ after: `${longest.after}a` }, 's')).toThrow(InvalidInput);
    expect(isRefused(`${encodeCursor(longest, 's')}AAAA`, 's')).toBe(true);
    expect(isRefused('A'.repeat(100_000), 's')).toBe(true);
  });
});
