import {
  type Contract,
  type Kit,
  kitJson,
  kitPageSchema,
  type LegacyIdTypes,
  legacyKitSchema,
  pageJson,
  parseMapping,
  referenceMapping,
  unifiedKitSchema,
} from '@unified-kits/domain';
import { describe, expect, it } from 'vitest';
import { kitOf, plainMapping, unlikeMapping } from '../support/example-kits.ts';

const IDS: LegacyIdTypes = { kit: 'integer', practitioner_kits: 'string' };
const USER = '00000000-0000-4000-8000-0000000000aa';
const PRACTITIONER = '00000000-0000-4000-8000-0000000000bb';
const KITS_ID = '01887442-e0c0-8dee-a894-84e3b29c6231';
const TIME = '2026-06-01T10:00:00.123456Z';

const clients = kitOf('kit', {
  fields: { status: 'completed', kitType: 'blood', createdAt: TIME },
  legacyFields: { status: 'done', kitType: 'B' },
  attributes: { price: '12345678901234567890.10', consent: 'true', notes: '"a \\"b\\""' },
});
const practitioners = kitOf('practitioner_kits', {
  fields: { orderId: 'O1', metadata: '{"n":1.10}', updatedAt: TIME, resultedAt: 'infinity' },
});
const shown = (kit: Kit, contract: Contract, mapping = unlikeMapping) =>
  kitJson(kit, contract, mapping, IDS);

describe('a kit as JSON', () => {
  it('under the legacy contract has the table`s id, words and columns, and then who owns it', () => {
    expect(shown(clients, 'legacy')).toBe(
      `{"id":7,"kitNumber":"K1","userId":"${USER}","notes":"a \\"b\\"","price":12345678901234567890.10,"consent":true,"tags":null,"status":"done","kitType":"B","registeredAt":null,"collectedAt":null,"receivedAt":null,"createdAt":"${TIME}","updatedAt":null,"kitsId":"${KITS_ID}","ownerType":"client","practitionerId":null}`,
    );
    expect(shown(practitioners, 'legacy')).toBe(
      `{"id":"${practitioners.legacyId}","kitNumber":"K1","practitionerId":"${PRACTITIONER}","status":"created","kitType":null,"orderId":"O1","metadata":{"n":1.10},"registeredAt":null,"collectedAt":null,"receivedAt":null,"resultedAt":"infinity","createdAt":null,"updatedAt":"${TIME}","kitsId":"${KITS_ID}","ownerType":"practitioner","userId":"${USER}"}`,
    );
  });

  it('under v2 has the words of kits and every field, whatever the table has', () => {
    expect(shown(clients, 'v2')).toBe(
      `{"kitsId":"${KITS_ID}","legacyId":"7","ownerType":"client","userId":"${USER}","practitionerId":null,"kitNumber":"K1","status":"completed","kitType":"blood","orderId":null,"metadata":null,"attributes":{"notes":"a \\"b\\"","price":12345678901234567890.10,"consent":true,"tags":null},"registeredAt":null,"collectedAt":null,"receivedAt":null,"resultedAt":null,"createdAt":"${TIME}","updatedAt":null}`,
    );
    expect(shown(practitioners, 'v2')).toContain('"metadata":{"n":1.10},"attributes":{},');
  });

  it('shows null where the table has null, also in a column with words of its own', () => {
    const kit = kitOf('kit', { legacyFields: { status: null } });
    expect(JSON.parse(shown(kit, 'legacy'))).toMatchObject({ status: null });
    const bare = kitOf('kit', { fields: { kitNumber: null }, userId: null });
    expect(JSON.parse(shown(bare, 'legacy'))).toMatchObject({ kitNumber: null, userId: null });
    expect(JSON.parse(shown(practitioners, 'legacy', referenceMapping))).toMatchObject({
      patientName: null,
      patientEmail: null,
    });
  });

  it.each(['legacy', 'v2'] as const)(
    'shows under the %s contract no more than it may',
    (contract) => {
      const kit = kitOf('kit', { attributes: { secret: '"x"', ...clients.attributes } });
      expect(shown(kit, contract)).not.toContain('secret');
    },
  );
});

describe('a page of kits', () => {
  it('is its kits, byte for byte, and where the next begins', () => {
    expect(pageJson([], null)).toBe('{"kits":[],"nextCursor":null}');
    expect(pageJson(['{"a":1.0}', '{}'], 'x"')).toBe('{"kits":[{"a":1.0},{}],"nextCursor":"x\\""}');
  });

  it('is what its schema says', () => {
    const page = kitPageSchema(unifiedKitSchema(unlikeMapping, 'kit'));
    const fits = (text: string) => page.safeParse(JSON.parse(text)).success;
    expect(fits(pageJson([shown(clients, 'v2')], null))).toBe(true);
    expect(fits(pageJson([shown(clients, 'v2'), shown(clients, 'v2')], 'next'))).toBe(true);
    expect(fits(pageJson([shown(clients, 'legacy')], null))).toBe(false);
    expect(fits('{"kits":[]}')).toBe(false);
    expect(fits('{"kits":[],"nextCursor":null,"more":1}')).toBe(false);
  });
});

describe('the schema of a kit', () => {
  const schemasOf = {
    'a client`s, legacy': [
      () => legacyKitSchema(unlikeMapping, 'kit', 'integer'),
      clients,
      'legacy',
    ],
    'a client`s, v2': [() => unifiedKitSchema(unlikeMapping, 'kit'), clients, 'v2'],
    'a practitioner`s, legacy': [
      () => legacyKitSchema(unlikeMapping, 'practitioner_kits', 'string'),
      practitioners,
      'legacy',
    ],
    'a practitioner`s, v2': [
      () => unifiedKitSchema(unlikeMapping, 'practitioner_kits'),
      practitioners,
      'v2',
    ],
  } as const;
  type Name = keyof typeof schemasOf;
  const NAMES = Object.keys(schemasOf) as Name[];
  const fields = (name: Name) => Object.keys(schemasOf[name][0]().shape);
  const faults = (name: Name, changes: object) => {
    const [schema, kit, contract] = schemasOf[name];
    const { error } = schema().safeParse({ ...JSON.parse(shown(kit, contract)), ...changes });
    return (error?.issues ?? []).map(({ path }) => path.join('.'));
  };

  it.each(NAMES)('(%s) takes what kitJson writes, with each of its fields and no other', (name) => {
    const [, kit, contract] = schemasOf[name];
    expect(faults(name, {})).toEqual([]);
    expect(faults(name, { more: 1 })).toEqual(['']);
    const written = Object.keys(JSON.parse(shown(kit, contract)));
    expect(fields(name).sort()).toEqual(written.sort());
  });

  it.each<[Name, object, string]>([
    ['a client`s, legacy', { id: '7' }, 'id'],
    ['a practitioner`s, legacy', { id: 7 }, 'id'],
    ['a client`s, v2', { legacyId: 7 }, 'legacyId'],
    ['a client`s, legacy', { kitsId: 'K1' }, 'kitsId'],
    ['a client`s, v2', { kitsId: null }, 'kitsId'],
    ['a client`s, v2', { ownerType: 'practitioner' }, 'ownerType'],
    ['a practitioner`s, v2', { ownerType: 'client' }, 'ownerType'],
    ['a client`s, legacy', { userId: null }, 'userId'],
    ['a client`s, legacy', { userId: '7' }, 'userId'],
    ['a client`s, v2', { practitionerId: PRACTITIONER }, 'practitionerId'],
    ['a practitioner`s, v2', { practitionerId: null }, 'practitionerId'],
    ['a practitioner`s, v2', { practitionerId: '7' }, 'practitionerId'],
    ['a client`s, legacy', { price: '1' }, 'price'],
    ['a client`s, legacy', { consent: 'true' }, 'consent'],
    ['a client`s, legacy', { notes: 1 }, 'notes'],
    ['a client`s, legacy', { status: 1 }, 'status'],
    ['a client`s, v2', { kitType: 1 }, 'kitType'],
    ['a client`s, v2', { createdAt: 1 }, 'createdAt'],
    ['a client`s, v2', { attributes: { notes: 1 } }, 'attributes.notes'],
  ])('(%s) refuses %j', (name, changes, at) => {
    expect(faults(name, changes)).toContain(at);
  });

  it('takes null of a practitioner`s user, who may be unknown', () => {
    expect(faults('a practitioner`s, v2', { userId: null })).toEqual([]);
  });

  it.each([
    '2026-06-01T10:00:00.123456Z',
    '12026-06-01T10:00:00.000000Z',
    'infinity',
    '-infinity',
    '0044-03-15 12:00:00+00 BC',
    '0044-03-15 12:00:00.5+00 BC',
  ])('takes the time %s, which is one to Postgres', (time) => {
    expect(faults('a client`s, v2', { createdAt: time })).toEqual([]);
  });

  it.each([
    '',
    '2026-06-01T10:00:00Z',
    '2026-06-01T10:00:00.123Z',
    '2026-06-01T10:00:00.123456',
    '2026-06-01T10:00:00.123456+02:00',
    ' 2026-06-01T10:00:00.123456Z',
    '026-06-01T10:00:00.123456Z',
    'Infinity',
    '0044-03-15 12:00:00+00',
    '0044-03-15 12:00:00+02 BC',
  ])('refuses the time %j', (time) => {
    expect(faults('a client`s, v2', { createdAt: time })).toEqual(['createdAt']);
  });

  it('takes what is no number to JSON as Postgres writes it', () => {
    for (const price of [1.5, null, 'NaN', 'Infinity', '-Infinity'])
      expect(faults('a client`s, legacy', { price })).toEqual([]);
  });

  it.each([
    ['uuid', [USER], ['7', '']],
    ['bigint', ['7', '-9223372036854775808'], ['7a', 'a7', '', '7.5']],
    ['integer', ['7', '-12'], ['7a', 'a7', '', '7.5']],
    ['text', ['anyone', ''], [7]],
  ] as const)('knows an owner`s id of type %s', (type, good, bad) => {
    const mapping = parseMapping({
      ...referenceMapping,
      target: { userIdType: type, practitionerIdType: type },
    });
    const kit = { ...practitioners, userId: 'x', practitionerId: 'x' };
    const schema = unifiedKitSchema(mapping, 'practitioner_kits');
    const issues = (id: unknown) => {
      const json = JSON.parse(kitJson(kit, 'v2', mapping, IDS));
      const { error } = schema.safeParse({ ...json, userId: id, practitionerId: id });
      return (error?.issues ?? []).map(({ path }) => path.join('.')).sort();
    };
    for (const id of good) expect(issues(id)).toEqual([]);
    for (const id of bad) expect(issues(id)).toEqual(['practitionerId', 'userId']);
  });

  it('names the words of its contract as examples, and takes others: the table may hold them', () => {
    const examples = (schema: { meta: () => unknown }) =>
      (schema.meta() as { examples: string[] }).examples;
    const legacy = schemasOf['a practitioner`s, legacy'][0]();
    const v2 = schemasOf['a practitioner`s, v2'][0]();
    expect(examples(legacy.shape.status)).toEqual(expect.arrayContaining(['ordered', 'at_lab']));
    expect(examples(v2.shape.status)).toEqual(expect.arrayContaining(['created', 'received']));
    expect(faults('a practitioner`s, v2', { status: 'anything' })).toEqual([]);
  });

  it.each(['orderId', 'metadata', 'resultedAt'])(
    'has %s under the legacy contract where the table has it, and always in v2',
    (field) => {
      expect(fields('a client`s, legacy')).not.toContain(field);
      expect(fields('a practitioner`s, legacy')).toContain(field);
      expect(fields('a client`s, v2')).toContain(field);
      expect(Object.keys(legacyKitSchema(plainMapping, 'kit', 'integer').shape)).toContain(field);
    },
  );
});
