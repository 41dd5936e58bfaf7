import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBody } from '../../functions/phase4-api/http/parse-body.ts';
import { Problem, problemResponse } from '../../functions/phase4-api/http/problem.ts';

const JSON_TYPE = 'application/json';
const plain = (body: string, contentType = JSON_TYPE) => ({
  headers: { 'content-type': contentType },
  body,
  isBase64Encoded: false,
});
const encoded = (bytes: Uint8Array) => ({
  ...plain(Buffer.from(bytes).toString('base64')),
  isBase64Encoded: true,
});

const problemOf = (work: () => unknown): Problem => {
  try {
    work();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new TypeError('no problem was thrown');
};
const refusal = (body: string) => problemOf(() => parseBody(plain(body)));

/** Any JSON value that a body may be. */
const anyValue = fc.jsonValue({ maxDepth: 6, stringUnit: 'grapheme' }).filter((value) => {
  const text = JSON.stringify(value);
  return !text.includes('\\u0000') && !text.includes('__proto__');
});

describe('a body', () => {
  it('is what was sent, whatever it is', () => {
    fc.assert(
      fc.property(anyValue, fc.boolean(), (value, asBase64) => {
        const text = JSON.stringify(value);
        const parsed = parseBody(asBase64 ? encoded(Buffer.from(text)) : plain(text));
        expect(JSON.stringify(parsed)).toBe(text);
      }),
    );
  });

  it.each([
    'application/json',
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/merge-patch+json',
  ])('may be %s', (type) => {
    expect(parseBody(plain('{}', type))).toEqual({});
  });

  it.each([
    '',
    'text/plain',
    'application/xml',
    'application/json; charset=latin1',
    'json',
    'a/b,c',
  ])('may not be "%s"', (type) => {
    expect(problemOf(() => parseBody(plain('{}', type))).kind).toBe('unsupported-media-type');
  });

  it('may not be compressed', () => {
    const request = {
      ...plain('{}'),
      headers: { 'content-type': JSON_TYPE, 'content-encoding': 'gzip' },
    };
    const problem = problemOf(() => parseBody(request));
    expect(problem.kind).toBe('unsupported-media-type');
    expect(problem.headers['accept-encoding']).toBe('identity');
  });

  it.each([
    '',
    ' ',
    '{',
    '{"a":}',
    "{'a':1}",
    '[1,]',
    '{"a":1,}',
    '01',
    'NaN',
    '1 2',
    '\ufeff{}',
    '"\n"',
    '{"a":1} //',
  ])('is refused when it is no JSON: %j', (text) => {
    expect(refusal(text).kind).toBe('malformed-json');
  });

  it('is refused when it is missing', () => {
    const request = { headers: { 'content-type': JSON_TYPE }, isBase64Encoded: false };
    expect(problemOf(() => parseBody(request)).kind).toBe('malformed-json');
  });

  it('is never quoted when it is refused', () => {
    const problem = refusal('{"name": Ada}');
    expect(JSON.stringify(problemResponse(problem))).not.toContain('Ada');
    expect(problem.cause).toBeUndefined();
  });

  it('is refused when it is not valid UTF-8', () => {
    expect(problemOf(() => parseBody(encoded(Buffer.from([0x22, 0xc3, 0x22])))).detail).toBe(
      'the body is not valid UTF-8',
    );
    expect(refusal('"\ud800"').detail).toBe('the body is not valid UTF-8');
  });

  it('is measured in bytes once it is decoded', () => {
    const limits = { maxBytes: 12 };
    for (const text of ['"0123456789"', '"ééééé"']) {
      expect(parseBody(plain(text), limits)).toBe(JSON.parse(text));
      expect(parseBody(encoded(Buffer.from(text)), limits)).toBe(JSON.parse(text));
    }
    for (const request of [plain('"0123456789a"'), encoded(Buffer.from('"éééééa"'))])
      expect(problemOf(() => parseBody(request, limits)).kind).toBe('payload-too-large');
  });

  it('has 64 KiB at most', () => {
    const text = `"${'a'.repeat(65_534)}"`;
    expect(parseBody(plain(text))).toHaveLength(65_534);
    expect(refusal(`${text} `).kind).toBe('payload-too-large');
  });
});

describe('nesting', () => {
  const nested = (depth: number, open: readonly string[]) => {
    const opened = Array.from({ length: depth }, (_, n) => open[n % open.length] ?? '[');
    const closed = opened.toReversed().map((one) => (one === '[' ? ']' : '}'));
    return `${opened.join('')}1${closed.join('')}`;
  };

  it('is refused from the seventeenth level on, whatever opens it', () => {
    const kinds = fc.array(fc.constantFrom('[', '{"a":'), { minLength: 1 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), kinds, (depth, open) => {
        const text = nested(depth, open);
        if (depth <= 16) expect(JSON.stringify(parseBody(plain(text)))).toBe(text);
        else expect(refusal(text).kind).toBe('invalid-body');
      }),
    );
  });

  it('is no matter of the brackets within strings', () => {
    const text = JSON.stringify([`${'['.repeat(50)}\\"${'{'.repeat(50)}"`]);
    expect(JSON.stringify(parseBody(plain(text)))).toBe(text);
  });

  it('as deep as a body is long is refused before a parser sees it', () => {
    expect(refusal('['.repeat(65_000)).kind).toBe('invalid-body');
    expect(refusal('{"a":'.repeat(13_000)).kind).toBe('invalid-body');
  });
});

describe('a name', () => {
  it('given twice is refused with its pointer', () => {
    expect(refusal('{"a":{"b":[0,{"c":1,"d":2,"c":3}]}}').errors).toEqual([
      { pointer: '/a/b/1/c', detail: 'is given twice' },
    ]);
  });

  it('given twice again and again is told of twenty times', () => {
    const text = `{${Array(1_000).fill('"a":1').join()}}`;
    expect(refusal(text).errors).toEqual(
      Array(20).fill({ pointer: '/a', detail: 'is given twice' }),
    );
  });

  it('is the same however it is written', () => {
    expect(refusal('{"a":1,"\\u0061":2}').errors).toEqual([
      { pointer: '/a', detail: 'is given twice' },
    ]);
  });

  it('may come again in another object', () => {
    const text = '[{"a":{"a":[1,{"a":{}}]}},{"a":"a,a"}]';
    expect(JSON.stringify(parseBody(plain(text)))).toBe(text);
  });

  it('given twice is found wherever it stands', () => {
    const place = fc.array(fc.oneof(fc.nat({ max: 3 }), fc.constantFrom('x', 'y/~', 'é')), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(place, (path) => {
        const text = path.reduceRight<string>(
          (inner, part) =>
            typeof part === 'number'
              ? `[${'0,'.repeat(part)}${inner}]`
              : `{"before":[],${JSON.stringify(part)}:${inner}}`,
          '{"twice":1,"other":"\\"{","twice":2}',
        );
        const pointer = [...path, 'twice']
          .map((part) => `/${String(part).replaceAll('~', '~0').replaceAll('/', '~1')}`)
          .join('');
        expect(refusal(text).errors).toEqual([{ pointer, detail: 'is given twice' }]);
      }),
    );
  });

  it('cannot be __proto__, and no name reaches a prototype', () => {
    expect(refusal('{"a":{"__proto__":{"polluted":true}}}').errors).toEqual([
      { pointer: '/a/__proto__', detail: 'is not a name that a field may have' },
    ]);
    const body = parseBody(plain('{"constructor":{"prototype":{"polluted":true}}}'));
    expect(Object.keys(Object(body))).toEqual(['constructor']);
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype);
    expect('polluted' in {}).toBe(false);
  });
});

describe('a string', () => {
  it.each([
    ['{"a":"x\\u0000y"}', '/a', 'U+0000'],
    ['["\\ud800"]', '/0', 'surrogate'],
    ['["\\udc00\\ud800"]', '/0', 'surrogate'],
  ])('that Postgres cannot store is refused: %s', (text, pointer, why) => {
    expect(refusal(text)).toMatchObject({
      kind: 'invalid-body',
      errors: [{ pointer, detail: expect.stringContaining(why) }],
    });
  });

  it('that Postgres cannot store is refused as a name too', () => {
    expect(refusal('{"a\\u0000":1}').errors).toHaveLength(1);
    expect(refusal('{"\\udfff":1}').errors).toHaveLength(1);
  });

  it('may hold escaped backslashes before what looks like an escape', () => {
    const text = '["\\\\u0000","\\\\","\\\\\\"",{"\\\\u0000":"\\\\ud800"}]';
    expect(JSON.stringify(parseBody(plain(text)))).toBe(text);
  });
});

describe('a number', () => {
  const sent = (number: string) => JSON.stringify(parseBody(plain(`{"n":${number}}`)));

  it.each([
    '12345678901234567890',
    '-9007199254740993',
    '0.1000000000000000055511151231257827',
    '1e400',
    '1e-400',
    '-123456789.123456789123456789',
  ])('%s comes back with the same digits', (number) => {
    expect(sent(number)).toBe(`{"n":${number}}`);
  });

  it.each([
    ['0.1', 0.1],
    ['1.50', 1.5],
    ['1E2', 100],
    ['-0', -0],
    ['0.000e9', 0],
    ['9007199254740992', 9_007_199_254_740_992],
    ['1000000000000000000000', 1e21],
    ['1.7976931348623157e308', Number.MAX_VALUE],
    ['5e-324', Number.MIN_VALUE],
  ])('%s, which a double holds, is that double', (text, number) => {
    expect(parseBody(plain(`[${text}]`))).toEqual([number]);
  });

  it('has the same value afterwards, whatever its digits', () => {
    const digits = fc.string({
      unit: fc.constantFrom(...'0123456789'),
      minLength: 1,
      maxLength: 40,
    });
    const exact = (literal: string) => {
      const [, sign, whole = '', fraction = '', exponent = '0'] =
        /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d+))?$/.exec(literal) ?? [];
      const scaled =
        BigInt(whole + fraction) * 10n ** BigInt(Number(exponent) - fraction.length + 400);
      return sign === '-' ? -scaled : scaled;
    };
    fc.assert(
      fc.property(
        digits,
        digits,
        fc.integer({ min: -300, max: 300 }),
        fc.boolean(),
        (a, b, e, minus) => {
          const whole = a.replace(/^0+(?=.)/, '');
          const literal = `${minus ? '-' : ''}${whole}.${b}e${e}`;
          const back = JSON.stringify(parseBody(plain(literal)));
          expect(exact(back)).toBe(exact(literal));
        },
      ),
    );
  });

  it.each(['1e401', '1e-401', '1e131071', `1${'0'.repeat(1_000)}`])(
    'beyond reason is refused: %s',
    (number) => {
      expect(refusal(`{"a":[${number}]}`).errors).toEqual([
        { pointer: '/a/0', detail: 'is a number out of range' },
      ]);
    },
  );
});
