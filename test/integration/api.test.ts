import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiRig, apiRigOf } from '../support/api.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';

describe('the kits API', () => {
  let rig: ApiRig;
  beforeAll(async () => {
    rig = await apiRigOf();
  });
  afterAll(() => rig.close());

  it('makes a kit, shows it under both contracts, and changes it', async () => {
    const client = rig.as(await clientOf(rig.legacy, 1));
    const made = await client.post('/kits', {
      kitNumber: 'A-1',
      orderId: 'O',
      metadata: { exact: 1 },
      notes: 'here',
    });
    expect(made.status, made.text).toBe(201);
    const { id, kitsId } = made.body as { id: number; kitsId: string };
    expect(made.headers.get('location')).toBe(`/kits/${id}`);
    expect(made.headers.get('deprecation')).toMatch(/^@\d+$/);
    const read = await client.get(`/kits/${id}`);
    expect(read.text).toBe(made.text);
    expect((await client.get(`/v2/kits/${kitsId}`)).body).toMatchObject({
      kitsId,
      legacyId: String(id),
      status: 'created',
      attributes: { notes: 'here' },
    });
    const changed = await client.patch(`/kits/${id}`, { status: 'registered' });
    expect(changed.status, changed.text).toBe(200);
    expect(changed.body).toMatchObject({ status: 'registered', orderId: 'O' });
  });

  it('shows a practitioner their own kits in their own words', async () => {
    const practitioner = await practitionerOf(rig.legacy, 2);
    const client = rig.as(practitioner);
    const page = await client.get(`/practitioners/${practitioner.practitionerId}/kits?limit=2`);
    expect(page.status, page.text).toBe(200);
    const { kits, nextCursor } = page.body as {
      kits: Record<string, unknown>[];
      nextCursor: string;
    };
    expect(kits).toHaveLength(2);
    expect(kits[0]).toMatchObject({ ownerType: 'practitioner', patientName: expect.any(String) });
    const next = await client.get(
      `/practitioners/${practitioner.practitionerId}/kits?limit=2&cursor=${nextCursor}`,
    );
    expect((next.body.kits as { id: string }[])[0]?.id).not.toBe(kits[1]?.id);
  });
});
