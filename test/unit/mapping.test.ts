import {
  canonicalJson,
  digest,
  type MappingInput,
  MappingInvalid,
  mappingDigest,
  parseMapping,
  referenceMapping,
  SOURCES,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const small = (): MappingInput => ({
  version: 1,
  name: 'small',
  users: { table: 'users' },
  sources: {
    kit: {
      table: 'kit',
      owner: { type: 'client', userId: 'user_id' },
      columns: { kitNumber: 'number', status: 'status' },
    },
    practitioner_kits: {
      table: 'pk',
      owner: {
        type: 'practitioner',
        practitionerId: 'practitioner_id',
        practitioners: { table: 'practitioners' },
      },
      columns: { kitNumber: 'number', status: 'status' },
    },
  },
});

const messageOf = (input: unknown): string => {
  try {
    parseMapping(input);
  } catch (error) {
    expect(error).toBeInstanceOf(MappingInvalid);
    return error instanceof Error ? error.message : '';
  }
  throw new Error('the mapping was accepted');
};

describe('a mapping', () => {
  it('needs no more than tables, owners, kit numbers and statuses; the rest has defaults', () => {
    const mapping = parseMapping(small());
    expect(mapping.target).toEqual({
      schema: 'public',
      userIdType: 'uuid',
      practitionerIdType: 'uuid',
    });
    expect(mapping.users).toEqual({ schema: 'public', table: 'users', id: 'id' });
    expect(mapping.sources.kit).toMatchObject({
      schema: 'public',
      id: { column: 'id' },
      columns: { kitNumber: { column: 'number' }, status: { column: 'status' } },
    });
    expect(mapping.sources.practitioner_kits.owner.practitioners).toEqual({
      schema: 'public',
      table: 'practitioners',
      id: 'id',
      userId: 'user_id',
    });
  });

  it('has the name MappingInvalid in its error, which Step Functions matches', () => {
    expect(() => parseMapping({})).toThrow(expect.objectContaining({ name: 'MappingInvalid' }));
  });

  it('names every fault at once, each with its path, and those between parts too', () => {
    const { kit, practitioner_kits } = small().sources;
    const message = messageOf({
      ...small(),
      version: 2,
      name: '',
      surprise: true,
      target: { userIdType: 'serial' },
      users: { table: 'x'.repeat(64) },
      sources: {
        kit: {
          ...kit,
          table: 'same',
          id: { generator: { kind: 'sequence' } },
          columns: {
            kitNumber: 'number',
            status: { column: 'number', values: { new: '' } },
            kitType: '',
            color: 'color',
          },
        },
        practitioner_kits: {
          ...practitioner_kits,
          table: 'same',
          owner: { type: 'practitioner', practitionerId: 'status' },
        },
      },
    });
    for (const fault of [
      '→ at version',
      '→ at name',
      'Unrecognized key: "surprise"',
      '→ at target.userIdType',
      'an identifier has at most 63 bytes\n  → at users.table',
      '→ at sources.kit.id.generator.name',
      '→ at sources.kit.columns.status.values.new',
      'an identifier must not be empty\n  → at sources.kit.columns.kitType',
      'Unrecognized key: "color"\n  → at sources.kit.columns',
      '→ at sources.practitioner_kits.owner.practitioners',
      'column "number" is named by two rules; one legacy column feeds one unified column\n  → at sources.kit',
      'column "status" is named by two rules; one legacy column feeds one unified column\n  → at sources.practitioner_kits',
      'both sources name the same table\n  → at sources',
    ])
      expect(message).toContain(fault);
  });

  it.each(['kits', 'kit_id_map'])('may not have a source called %s where that is made', (table) => {
    const mapping = small();
    mapping.sources.kit.table = table;
    expect(messageOf(mapping)).toContain(
      `"public"."${table}" is the name of the table to be made; choose another target.schema`,
    );
    expect(() => parseMapping({ ...mapping, target: { schema: 'other' } })).not.toThrow();
  });

  it.each([
    ['a name of 64 bytes', 'é'.repeat(32), 'at most 63 bytes'],
    ['an empty name', '', 'must not be empty'],
    ['a null character', 'a\0b', 'must not contain a null character'],
  ])('refuses %s, which PostgreSQL would not keep as it is', (_, table, why) => {
    const mapping = small();
    mapping.sources.kit.table = table;
    expect(messageOf(mapping)).toContain(why);
  });

  it('may have names of 63 bytes', () => {
    const mapping = small();
    mapping.sources.kit.table = `${'é'.repeat(31)}x`;
    expect(parseMapping(mapping).sources.kit.table).toBe(mapping.sources.kit.table);
  });

  it('shows a column as text unless it says otherwise', () => {
    const { kit, practitioner_kits } = small().sources;
    const attributes = { a: 'x', b: { column: 'y' }, c: { column: 'z', type: 'json' } } as const;
    const { api } = parseMapping({
      ...small(),
      sources: { kit: { ...kit, api: { attributes } }, practitioner_kits },
    }).sources.kit;
    expect(api.attributes).toEqual({
      a: { column: 'x', type: 'string' },
      b: { column: 'y', type: 'string' },
      c: { column: 'z', type: 'json' },
    });
  });

  it('may name anything else, however it must be quoted', () => {
    const mapping = small();
    mapping.sources.kit.table = `a "b" 'c' \\ $function$ ; -- é`;
    mapping.sources.kit.columns.kitNumber = 'select';
    expect(parseMapping(mapping).sources.kit.table).toBe(mapping.sources.kit.table);
  });

  it.each([
    undefined,
    null,
    5,
    'kit',
    [],
    { sources: 5 },
    { sources: { kit: { columns: [null] } } },
  ])('that is %j is refused and not a crash', (input) => {
    expect(messageOf(input)).not.toBe('');
  });

  it('of the reference schema is valid, and keeps notes and patients in legacy_attributes: no rule names them', () => {
    const rules = SOURCES.map((source) => referenceMapping.sources[source].columns);
    expect(canonicalJson(rules)).not.toMatch(/notes|patient/);
  });

  it('has the same digest whatever the API shows, and another one for another rule', () => {
    const { kit, practitioner_kits } = referenceMapping.sources;
    const showing = (attributes: Record<string, string>) =>
      parseMapping({
        ...referenceMapping,
        sources: { kit: { ...kit, api: { attributes } }, practitioner_kits },
      });
    expect(mappingDigest(showing({}))).toBe(mappingDigest(showing({ remarks: 'notes' })));
    const { orderId: _orderId, ...others } = kit.columns;
    const changed = parseMapping({
      ...referenceMapping,
      sources: { kit: { ...kit, columns: others }, practitioner_kits },
    });
    expect(mappingDigest(changed)).not.toBe(mappingDigest(referenceMapping));
  });

  it('refuses an attribute of the API with the name of another field, or of a column that a rule shows', () => {
    const { kit, practitioner_kits } = referenceMapping.sources;
    const faulty = (attributes: Record<string, string>) => () =>
      parseMapping({
        ...referenceMapping,
        sources: { kit: { ...kit, api: { attributes } }, practitioner_kits },
      });
    expect(faulty({ kitsId: 'notes' })).toThrow(/kitsId has the name of another field/);
    expect(faulty({ number: 'kit_number' })).toThrow(/"kit_number", which a rule shows already/);
  });
});

/** Every fault of a mapping, in the order told, without its place. */
const faultsOf = (input: unknown): string[] =>
  messageOf(input)
    .split('\n')
    .filter((line) => line.startsWith('✖ '))
    .map((line) => line.slice(2));

describe('the checks between the parts of a mapping', () => {
  const twice = (column: string) =>
    `column "${column}" is named by two rules; one legacy column feeds one unified column`;

  it('find a column named twice, be it by the id, the owner or a rule', () => {
    const kit = (more: object) => {
      const mapping = small();
      return {
        ...mapping,
        sources: { ...mapping.sources, kit: { ...mapping.sources.kit, ...more } },
      };
    };
    expect(faultsOf(kit({ id: { column: 'number' } }))).toEqual([twice('number')]);
    expect(faultsOf(kit({ owner: { type: 'client', userId: 'status' } }))).toEqual([
      twice('status'),
    ]);
    expect(faultsOf(kit({ columns: { kitNumber: 'id', status: { column: 'id' } } }))).toEqual([
      twice('id'),
    ]);
    const practitioners = small();
    practitioners.sources.practitioner_kits.owner.practitionerId = 'number';
    expect(faultsOf(practitioners)).toEqual([twice('number')]);
  });

  it.each<[string, object]>([
    ['no columns', { columns: null }],
    ['nothing', {}],
    ['a table without a name', { table: 5 }],
    ['a schema without a name', { schema: 5, table: 'same' }],
    ['rules that are none', { owner: 5, columns: { kitNumber: 5, status: 5 } }],
    ['no attributes', { api: { attributes: null } }],
    ['attributes that are none', { api: { attributes: 5 } }],
  ])('say nothing of sources with %s, of which the parts themselves tell', (_what, source) => {
    const { kit, practitioner_kits } = small().sources;
    const faulty = Object.keys(source).length === 0 ? [{}, {}] : [kit, practitioner_kits];
    const [one, other] = faulty.map((rest) => ({ ...rest, ...source }));
    const faults = faultsOf({ ...small(), sources: { kit: one, practitioner_kits: other } });
    expect(faults.length).toBeGreaterThanOrEqual(2);
    expect(faults).toEqual(faults.filter((fault) => fault.startsWith('Invalid input')));
  });
});

describe('canonical JSON', () => {
  const shuffled = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(shuffled);
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(
      Object.entries(value)
        .map(([key, member]) => [key, shuffled(member)] as const)
        .reverse(),
    );
  };

  it('does not depend on the order of keys, at any depth', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value));
        expect(digest(shuffled(value))).toBe(digest(value));
      }),
    );
  });

  it('says the same as the value, so that different values have different texts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it('keeps the order of arrays and leaves out undefined members', () => {
    expect(canonicalJson({ b: [2, 1], a: undefined })).toBe('{"b":[2,1]}');
    expect(canonicalJson({ b: 1, A: 2, a: [undefined] })).toBe('{"A":2,"a":[null],"b":1}');
    expect(canonicalJson(undefined)).toBe('null');
    expect(digest([1, 2])).not.toBe(digest([2, 1]));
  });
});
