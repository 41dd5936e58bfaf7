import { type Kit, type KitValues, kitJson, type Owner } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clientOf, practitionerOf, serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { migrateTo } from '../support/migration.ts';

const bare: KitValues = { fields: {}, attributes: {} };
const responded = (kit: Kit) => ({ status: 201, headers: {}, body: JSON.stringify(kit) });

describe.each(['legacy', 'mirrored', 'dual-write', 'unified', 'closed'] as const)(
  'the kits service in stage %s',
  (stage) => {
    let legacy: LegacyDatabase;
    let rig: TestService;
    beforeAll(async () => {
      legacy = await legacyDatabase(60);
      rig = await serviceOn(legacy);
      const binding = await installed(legacy);
      if (stage !== 'legacy') await migrateTo(legacy.db, binding, stage);
    });
    afterAll(async () => {
      await rig.close();
      await legacy.drop();
    });

    const create = async (owner: Owner, kitNumber: string, values: KitValues = bare) =>
      JSON.parse(
        (
          await rig.service.create({
            owner,
            values: { ...values, fields: { ...values.fields, kitNumber } },
            respond: responded,
          })
        ).body,
      ) as Kit;

    it('shows both stores the same kits, byte for byte', async () => {
      const client = await clientOf(legacy, 3);
      const practitioner = await practitionerOf(legacy, 3);
      const idTypes = await rig.service.idTypes();
      const own = await rig.service.list(
        { ownerType: 'client', id: client.userId },
        { after: undefined, limit: 10 },
      );
      expect(own.length).toBeGreaterThan(0);
      for (const kit of own) {
        const found = await rig.service.find(client, { source: 'kit', legacyId: kit.legacyId });
        expect(kitJson(found, 'legacy', legacy.mapping, idTypes)).toBe(
          kitJson(kit, 'legacy', legacy.mapping, idTypes),
        );
        expect(await rig.service.find(client, { kitsId: kit.kitsId })).toEqual(kit);
      }
      const all = await rig.service.listAll(practitioner, { after: undefined, limit: 50 });
      expect(new Set(all.map(({ ownerType }) => ownerType))).toEqual(
        new Set(['client', 'practitioner']),
      );
      expect(all.map(({ kitsId }) => kitsId)).toEqual(all.map(({ kitsId }) => kitsId).sort());
    });

    it('makes kits, changes them, and reads its own writes', async () => {
      const client = await clientOf(legacy, 1);
      const kit = await create({ ownerType: 'client', id: client.userId }, `NEW-${stage}`, {
        fields: { orderId: 'O 1', metadata: '{"a": 12345678901234567890.10}' },
        attributes: { notes: 'first' },
      });
      expect(kit.fields.status).toBe('created');
      expect(kit.fields.metadata).toBe('{"a": 12345678901234567890.10}');
      const changed = await rig.service.change({
        reference: { source: 'kit', legacyId: kit.legacyId },
        caller: client,
        valuesFor: () => ({ fields: { orderId: 'O 2' }, attributes: { notes: null } }),
        statusFor: () => 'registered',
        precondition: () => undefined,
      });
      expect(changed.fields).toMatchObject({ orderId: 'O 2', status: 'registered' });
      expect(changed.fields.registeredAt).not.toBeNull();
      expect(changed.attributes).toEqual({});
      expect(await rig.service.find(client, { kitsId: kit.kitsId })).toEqual(changed);
      const { rows } = await legacy.pool.query(
        `select body ->> 'type' as type from kits_service.kit_event where kits_id = $1 order by number`,
        [kit.kitsId],
      );
      expect(rows.map(({ type }) => type)).toEqual(['kit.created', 'kit.registered']);
    });
  },
);
