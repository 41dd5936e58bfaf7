import { KIT_EVENT_TYPES, KIT_STATUSES, kitEvent } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { kitOf } from '../support/example-kits.ts';

const attributes = fc.dictionary(
  fc.constantFrom('notes', 'price', 'tags', 'toString'),
  fc.constantFrom('1', '"a"', 'true'),
);

describe('the event of a kit', () => {
  it('that is new says so, whatever status it is born with', () => {
    for (const status of KIT_STATUSES)
      expect(kitEvent(undefined, kitOf('kit', { fields: { status } }))).toEqual({
        type: 'kit.created',
        version: 1,
        kitsId: '01887442-e0c0-8dee-a894-84e3b29c6231',
        source: 'kit',
        legacyId: '7',
        ownerType: 'client',
        status,
        previousStatus: null,
        changed: [],
      });
  });

  it.each([
    ['created', 'registered', 'kit.registered'],
    ['registered', 'collected', 'kit.status-changed'],
    ['registered', 'registered', 'kit.updated'],
    [null, 'registered', 'kit.registered'],
    ['created', null, 'kit.status-changed'],
    [null, null, 'kit.updated'],
  ])('whose status goes from %j to %j is %s', (previousStatus, status, type) => {
    const event = kitEvent(
      kitOf('kit', { fields: { status: previousStatus } }),
      kitOf('kit', { fields: { status } }),
    );
    expect(event).toMatchObject({ type, status, previousStatus });
    expect(KIT_EVENT_TYPES).toContain(event.type);
    expect(event.changed).toEqual(status === previousStatus ? [] : ['status']);
  });

  it('names what changed, of columns and of attributes, sorted, and tells no value', () => {
    const before = kitOf('practitioner_kits', {
      fields: { orderId: 'O1', kitType: 'blood', metadata: '{"a":1}' },
      attributes: { gone: '"x"', kept: '"y"', other: '1' },
    });
    const after = kitOf('practitioner_kits', {
      fields: { orderId: null, kitType: 'blood', metadata: '{"a":2}', createdAt: 'infinity' },
      attributes: { kept: '"y"', other: '2', added: 'null' },
    });
    const event = kitEvent(before, after);
    expect(event.changed).toEqual(['added', 'createdAt', 'gone', 'metadata', 'orderId', 'other']);
    expect(event).toMatchObject({ source: 'practitioner_kits', ownerType: 'practitioner' });
    expect(JSON.stringify(event)).not.toMatch(/O1|blood|infinity/);
  });

  it('of a name in both a column and an attribute names it once', () => {
    const of = (value: string) =>
      kitOf('kit', { fields: { kitType: value }, attributes: { kitType: value } });
    expect(kitEvent(of('1'), of('2')).changed).toEqual(['kitType']);
  });

  it('names the same on the way back, and nothing where nothing changed', () => {
    fc.assert(
      fc.property(attributes, attributes, (one, other) => {
        const [a, b] = [kitOf('kit', { attributes: one }), kitOf('kit', { attributes: other })];
        expect(kitEvent(a, b).changed).toEqual(kitEvent(b, a).changed);
        expect(kitEvent(a, a).changed).toEqual([]);
        const patched = { ...one };
        for (const name of kitEvent(a, b).changed) {
          delete patched[name];
          const value = other[name];
          if (Object.hasOwn(other, name) && value !== undefined) patched[name] = value;
        }
        expect(patched).toEqual(other);
      }),
    );
  });
});
