import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  etagOf,
  namesTag,
  parseIfMatch,
  parseIfNoneMatch,
} from '../../functions/phase4-api/http/etag.ts';
import {
  parseIdempotencyKey,
  requestFingerprint,
} from '../../functions/phase4-api/http/idempotency-key.ts';
import { parseBody } from '../../functions/phase4-api/http/parse-body.ts';
import { Problem } from '../../functions/phase4-api/http/problem.ts';

const isRefused = (work: () => unknown): boolean => {
  try {
    work();
    return false;
  } catch (error) {
    return error instanceof Problem && error.kind === 'invalid-header';
  }
};

describe('an entity tag', () => {
  it('is strong, and the same for the same body only', () => {
    expect(etagOf('{"a":1}')).toMatch(/^"[\w-]{22}"$/);
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(etagOf(a) === etagOf(b)).toBe(a === b);
      }),
    );
  });

  it('is named by a condition that it was put into', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string()), (body, others) => {
        const header = [...others, body].map(etagOf).join(', ');
        expect(namesTag(parseIfMatch(header), etagOf(body))).toBe(true);
        expect(namesTag(parseIfNoneMatch(header), etagOf(body))).toBe(true);
        expect(namesTag(parseIfMatch(header), etagOf(`${header} `))).toBe(false);
      }),
    );
  });
});

describe('If-Match', () => {
  it.each([
    ['*', '*'],
    [' * ', '*'],
    ['"a"', ['"a"']],
    ['"a","b" ,\t"c"', ['"a"', '"b"', '"c"']],
    [', "a",, "b",', ['"a"', '"b"']],
    ['""', ['""']],
    ['"a,b"', ['"a,b"']],
    ['"\u00ff"', ['"\u00ff"']],
  ])('%j names %j', (header, tags) => {
    expect(parseIfMatch(header)).toEqual(tags);
  });

  it('never matches weakly', () => {
    expect(parseIfMatch('W/"a", "b"')).toEqual(['"b"']);
    expect(namesTag(parseIfMatch('W/"a"'), '"a"')).toBe(false);
  });

  it.each([
    '',
    ',',
    'a',
    '"a',
    '"a" "b"',
    '*, "a"',
    '"a", *',
    'w/"a"',
    'W/ "a"',
    '"a""b"',
    '"a b"',
    "'a'",
  ])('is refused when it is malformed: %j', (header) => {
    expect(isRefused(() => parseIfMatch(header))).toBe(true);
  });

  it('names any tag with a star', () => {
    expect(namesTag(parseIfMatch('*'), '"a"')).toBe(true);
  });
});

describe('If-None-Match', () => {
  it('matches weakly', () => {
    expect(parseIfNoneMatch('W/"a", "b"')).toEqual(['"a"', '"b"']);
    expect(namesTag(parseIfNoneMatch('W/"a"'), '"a"')).toBe(true);
    expect(namesTag(parseIfNoneMatch('*'), '"a"')).toBe(true);
  });

  it('is refused when it is malformed', () => {
    expect(isRefused(() => parseIfNoneMatch('a'))).toBe(true);
  });
});

describe('an idempotency key', () => {
  const visible = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 255,
  });

  it('is the same in quotes and bare', () => {
    fc.assert(
      fc.property(visible, (key) => {
        const quoted = `"${key.replaceAll(/["\\]/g, '\\$&')}"`;
        expect(parseIdempotencyKey(quoted)).toBe(key);
        if (!key.startsWith('"')) expect(parseIdempotencyKey(key)).toBe(key);
      }),
    );
  });

  it.each([
    '',
    ' ',
    '""',
    '"a',
    '"',
    'a b',
    '"a b"',
    '"a"b"',
    '"a\\b"',
    '"a";p=1',
    'é',
    'a\u007f',
    'a'.repeat(256),
    `"${'a'.repeat(256)}"`,
  ])('is refused: %j', (header) => {
    expect(isRefused(() => parseIdempotencyKey(header))).toBe(true);
  });
});

describe('the fingerprint of a request', () => {
  const body = (text: string) =>
    parseBody({
      headers: { 'content-type': 'application/json' },
      body: text,
      isBase64Encoded: false,
    });
  const of = (text: string) =>
    requestFingerprint({ method: 'POST', path: '/kits', body: body(text) });

  it('does not depend on the order of fields, nor on blanks', () => {
    expect(of('{"a":1,"b":{"c":2,"d":3}}')).toBe(of('{ "b": {"d":3, "c":2}, "a": 1 }'));
  });

  it.each([
    ['{"a":1}', '{"a":2}'],
    ['{"a":1}', '{"a":"1"}'],
    ['[1,2]', '[2,1]'],
    ['{"a":12345678901234567890}', '{"a":12345678901234567891}'],
    ['{"a":12345678901234567890}', '{"a":{"rawJSON":"12345678901234567890"}}'],
    ['{}', 'null'],
  ])('tells %s from %s', (a, b) => {
    expect(of(a)).not.toBe(of(b));
  });

  it('tells methods and paths apart', () => {
    const fingerprints = ['POST', 'PATCH'].flatMap((method) =>
      ['/kits', '/kits/1'].map((path) => requestFingerprint({ method, path, body: {} })),
    );
    expect(new Set(fingerprints).size).toBe(4);
  });
});
