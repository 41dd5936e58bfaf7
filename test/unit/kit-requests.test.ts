import {
  changeBody,
  createBody,
  KIT_STATUSES,
  KitRefused,
  legacyStatus,
  type Mapping,
  referenceMapping,
  type Source,
  statusWords,
  valuesOf,
  wishedStatus,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { plainMapping, unlikeMapping } from '../support/example-kits.ts';

/** Where a body is faulty: nowhere, or at each of these members. */
const faults = (schema: () => z.ZodType, body: unknown): string[] => {
  const { error } = schema().safeParse(body);
  return (error?.issues ?? []).flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => `unknown ${[...issue.path, key].join('.')}`)
      : [issue.path.join('.')],
  );
};
const raw = (body: string): unknown =>
  JSON.parse(body, (_name, value, { source }: { source?: string } = {}) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  );

describe('the body of a POST', () => {
  const legacy = () => createBody(unlikeMapping, 'kit', 'legacy');
  const v2 = () => createBody(unlikeMapping, 'kit', 'v2');
  const whole = () => createBody(unlikeMapping, 'practitioner_kits', 'legacy');

  it('needs a kit number and nothing else; in v2 also whose kit it is to be', () => {
    expect(faults(legacy, { kitNumber: 'K 1' })).toEqual([]);
    expect(faults(legacy, {})).toEqual(['kitNumber']);
    expect(faults(v2, { kitNumber: 'K1', ownerType: 'client' })).toEqual([]);
    expect(faults(v2, { kitNumber: 'K1' })).toEqual(['ownerType']);
    expect(faults(v2, { kitNumber: 'K1', ownerType: 'practitioner' })).toEqual(['ownerType']);
  });

  it.each(['K', 'K1', 'K-1 / 2', 'é', '💉', 'x'.repeat(64)])(
    'takes the kit number %j',
    (number) => {
      expect(faults(legacy, { kitNumber: number })).toEqual([]);
    },
  );

  it.each([
    null,
    1,
    '',
    ' ',
    ' K1',
    'K1 ',
    'K\t1',
    'K\n',
    '\u00a0K1',
    'K\u200b1',
    '\u0007',
    '\ud800',
    'x'.repeat(65),
  ])('refuses the kit number %j', (number) => {
    expect(faults(legacy, { kitNumber: number })).toContain('kitNumber');
  });

  it('says what a kit number must be', () => {
    expect(legacy().safeParse({ kitNumber: ' K1' }).error?.issues).toMatchObject([
      { message: 'printable characters, no space at either end' },
    ]);
  });

  it('takes the columns that the mapping names, and refuses others by name', () => {
    const body = { kitNumber: 'K1', kitType: 'B', orderId: 'O1', metadata: {} };
    expect(faults(whole, body)).toEqual([]);
    expect(faults(legacy, body)).toEqual(['unknown orderId', 'unknown metadata']);
    expect(faults(legacy, { ...body, status: 'created', id: 1, userId: 'u' })).toEqual(
      expect.arrayContaining(['unknown status', 'unknown id', 'unknown userId']),
    );
  });

  it.each<[string, unknown[], unknown[]]>([
    ['kitType', ['a', 'x'.repeat(128), null], ['', 'x'.repeat(129), 1, {}]],
    ['orderId', ['a', 'x'.repeat(128), null], ['', 'x'.repeat(129), 1, {}]],
    ['metadata', [{}, { a: [1, { b: null }] }, null], [[], 'a', 1, true]],
  ])('takes as %s a value of its kind or null, and nothing else', (name, good, bad) => {
    for (const value of good) expect(faults(whole, { kitNumber: 'K1', [name]: value })).toEqual([]);
    for (const value of bad)
      expect(faults(whole, { kitNumber: 'K1', [name]: value })).toEqual([name]);
  });

  it.each<[string, unknown[], unknown[]]>([
    ['notes', ['', 'x'.repeat(2_000), null], ['x'.repeat(2_001), 1, {}]],
    [
      'price',
      [0, -1.5, null, raw('12345678901234567890.5')],
      ['1', true, {}, Object.freeze({}), { rawJSON: '1' }],
    ],
    ['consent', [true, false, null], ['true', 0, {}]],
    ['tags', [null, 1, 'a', [1], { a: 1 }], []],
  ])('takes as attribute %s a value of its type or null, and nothing else', (name, good, bad) => {
    const at = (value: unknown) => [
      faults(legacy, { kitNumber: 'K1', [name]: value }),
      faults(v2, { kitNumber: 'K1', ownerType: 'client', attributes: { [name]: value } }),
    ];
    for (const value of good) expect(at(value)).toEqual([[], []]);
    for (const value of bad) expect(at(value)).toEqual([[name], [`attributes.${name}`]]);
  });

  it('says that a number must be one', () => {
    const { error } = legacy().safeParse({ kitNumber: 'K1', price: 'much' });
    expect(error?.issues[0]?.message).toBe('a number');
  });

  it('has attributes beside the columns under the legacy contract, and apart in v2', () => {
    expect(faults(legacy, { kitNumber: 'K1', attributes: {} })).toEqual(['unknown attributes']);
    const body = { kitNumber: 'K1', ownerType: 'client' };
    expect(faults(v2, { ...body, notes: 'a' })).toEqual(['unknown notes']);
    expect(faults(v2, { ...body, attributes: { color: 1 } })).toEqual(['unknown attributes.color']);
    expect(faults(v2, { ...body, attributes: null })).toEqual(['attributes']);
  });
});

describe('the body of a PATCH', () => {
  const legacy = () => changeBody(unlikeMapping, 'kit', 'legacy');

  it('may be empty, and changes neither the number nor the owner', () => {
    expect(faults(legacy, {})).toEqual([]);
    expect(faults(legacy, { kitNumber: 'K2', ownerType: 'client', userId: 'u' })).toEqual([
      'unknown kitNumber',
      'unknown ownerType',
      'unknown userId',
    ]);
    const v2 = () => changeBody(unlikeMapping, 'kit', 'v2');
    expect(faults(v2, { attributes: { notes: 'a' } })).toEqual([]);
    expect(faults(v2, { ownerType: 'client' })).toEqual(['unknown ownerType']);
    expect(faults(legacy, { notes: 'a', kitType: null })).toEqual([]);
    expect(faults(legacy, { metadata: {} })).toEqual(['unknown metadata']);
  });

  it('takes a status in the words of its contract only', () => {
    const practitioners = (contract: 'legacy' | 'v2') => () =>
      changeBody(referenceMapping, 'practitioner_kits', contract);
    expect(faults(practitioners('legacy'), { status: 'sampled' })).toEqual([]);
    expect(faults(practitioners('legacy'), { status: 'collected' })).toEqual(['status']);
    expect(faults(practitioners('v2'), { status: 'collected' })).toEqual([]);
    expect(faults(practitioners('v2'), { status: 'sampled' })).toEqual(['status']);
    for (const status of [null, '', 'constructor', 1])
      expect(faults(practitioners('v2'), { status })).toEqual(['status']);
  });
});

describe('the words for a status', () => {
  const meanings = (mapping: Mapping, source: Source, contract: 'legacy' | 'v2') =>
    Object.fromEntries(statusWords(mapping, source, contract));
  const own = Object.fromEntries(KIT_STATUSES.map((status) => [status, status]));

  it('are those of kits in v2, and where the table has no others', () => {
    expect(meanings(referenceMapping, 'practitioner_kits', 'v2')).toStrictEqual(own);
    expect(meanings(plainMapping, 'kit', 'legacy')).toStrictEqual(own);
  });

  it('are the table`s under the legacy contract, without those that mean no status', () => {
    expect(meanings(unlikeMapping, 'kit', 'legacy')).toStrictEqual({ ...own, done: 'completed' });
    expect(meanings(referenceMapping, 'practitioner_kits', 'legacy')).toMatchObject({
      ordered: 'created',
      reported: 'completed',
    });
  });

  it('give the status that a PATCH asks for, if it asks for one', () => {
    const wished = (body: object, contract: 'legacy' | 'v2' = 'legacy') =>
      wishedStatus(referenceMapping, 'practitioner_kits', contract, { ...body });
    expect(wished({ status: 'sampled' })).toBe('collected');
    expect(wished({ status: 'collected' }, 'v2')).toBe('collected');
    expect(wished({ status: 'sampled' }, 'v2')).toBeUndefined();
    expect(wished({})).toBeUndefined();
  });

  it('are written back as the first of several, and refused where there is none', () => {
    expect(legacyStatus(unlikeMapping, 'kit', 'completed')).toBe('completed');
    expect(legacyStatus(referenceMapping, 'practitioner_kits', 'received')).toBe('at_lab');
    expect(legacyStatus(plainMapping, 'kit', 'received')).toBe('received');
    const refused = () => legacyStatus(unlikeMapping, 'practitioner_kits', 'cancelled');
    expect(refused).toThrow(KitRefused);
    expect(refused).toThrow(
      expect.objectContaining({
        name: 'KitRefused',
        field: 'status',
        message: '"status" has no such value for kits of this owner type',
      }),
    );
  });
});

describe('the values of a body', () => {
  const values = (body: object, contract: 'legacy' | 'v2' = 'legacy', source: Source = 'kit') =>
    valuesOf(unlikeMapping, source, contract, { ...body });
  const fields = (...given: Parameters<typeof values>) => values(...given).fields;

  it('are those that it has, null included, of columns that the table has', () => {
    expect(values({})).toStrictEqual({ fields: {}, attributes: {} });
    expect(fields({ kitNumber: 'K1', kitType: null, orderId: 'O1', metadata: {} })).toStrictEqual({
      kitNumber: 'K1',
      kitType: null,
    });
    expect(
      fields({ orderId: null, metadata: { b: [1] } }, 'legacy', 'practitioner_kits'),
    ).toStrictEqual({
      orderId: null,
      metadata: '{"b":[1]}',
    });
    expect(fields({ metadata: null }, 'legacy', 'practitioner_kits')).toStrictEqual({
      metadata: null,
    });
  });

  it('have no status: that is for the life of the kit to decide', () => {
    expect(fields({ status: 'registered', createdAt: 'now' })).toStrictEqual({});
  });

  it('are in the legacy table`s words, whichever contract they came under', () => {
    expect(fields({ kitType: 'B' })).toStrictEqual({ kitType: 'B' });
    expect(fields({ kitType: 'blood' }, 'v2')).toStrictEqual({ kitType: 'B' });
    expect(fields({ kitType: 'blood' }, 'v2', 'practitioner_kits')).toStrictEqual({
      kitType: 'blood',
    });
    expect(fields({ kitType: 'B' }, 'legacy', 'practitioner_kits')).toStrictEqual({ kitType: 'B' });
  });

  it.each([
    ['legacy', 'blood', '"kitType" has no such value'],
    ['legacy', 'toString', '"kitType" has no such value'],
    ['v2', 'B', '"kitType" has no such value for kits of this owner type'],
  ] as const)(
    'under the %s contract may not be %s, and say which field',
    (contract, kitType, message) => {
      expect(() => values({ kitType }, contract)).toThrow(
        expect.objectContaining({ name: 'KitRefused', field: 'kitType', message }),
      );
    },
  );

  it('have attributes from beside the columns or from `attributes`, as text or as JSON', () => {
    const given = { notes: '1', price: raw('1.50'), consent: false, tags: 'a' };
    const written = { notes: '1', price: '1.50', consent: 'false', tags: '"a"' };
    expect(values(given).attributes).toStrictEqual(written);
    expect(values({ attributes: given }, 'v2').attributes).toStrictEqual(written);
    expect(values(given, 'v2').attributes).toStrictEqual({});
    expect(values({ notes: null, tags: { a: 1 }, color: 'red' }).attributes).toStrictEqual({
      notes: null,
      tags: '{"a":1}',
    });
    expect(values({ notes: 'a' }, 'legacy', 'practitioner_kits').attributes).toStrictEqual({});
  });
});
