import { beforeAll, describe, expect, it } from 'vitest';
import type { ApiResponse, ApiRig } from '../support/api.ts';
import { API_STAGES, type ApiStage, bringTo } from '../support/api-stage.ts';
import {
  lastingResponse,
  lastingRows,
  mappedApi,
  type Organisation,
  rollBackTo,
} from '../support/mapped-api.ts';
import { parity } from '../support/migration.ts';
import { type Creation, clinic, odd, plain, type Script } from '../support/organisations.ts';

const legacyPath = ({ practitioner }: Organisation, as: Creation['as']) =>
  as === 'client'
    ? '/kits'
    : `/practitioners/${encodeURIComponent(practitioner.practitionerId ?? '')}/kits`;

/** Where a kit is found under each contract, and by whom. */
interface Made {
  readonly as: Creation['as'];
  readonly legacy: string;
  readonly v2: string;
}

const perform = async (rig: ApiRig, script: Script) => {
  const answers: ApiResponse[] = [];
  const made: Made[] = [];
  const add = async (as: Creation['as'], { body }: ApiResponse) => {
    const found = await rig.as(script[as]).get(`/v2/kits/${body.kitsId}`);
    expect(found.status, found.text).toBe(200);
    made.push({
      as,
      legacy: `${legacyPath(script, as === 'client' || body.ownerType === 'client' ? 'client' : 'practitioner')}/${encodeURIComponent(String(found.body.legacyId))}`,
      v2: `/v2/kits/${body.kitsId}`,
    });
  };
  for (const { as, contract, body } of script.creations) {
    const path = contract === 'v2' ? '/v2/kits' : legacyPath(script, as);
    const answer = await rig.as(script[as]).post(path, body);
    answers.push(answer);
    if (answer.status === 201) await add(as, answer);
  }
  for (const { of, contract, body } of script.changes) {
    const kit =
      typeof of === 'number'
        ? made[of]
        : {
            as: 'client' as const,
            legacy: `/kits/${of.legacyId}`,
            v2: `/v2/kits/${(await rig.as(script.client).get(`/kits/${of.legacyId}`)).body.kitsId}`,
          };
    if (kit === undefined) throw new Error(`kit ${of} was not made`);
    const client = rig.as(script[kit.as]);
    const read = await client.get(kit[contract]);
    expect([kit[contract], read.status, read.text]).toEqual([kit[contract], 200, read.text]);
    const headers = contract === 'v2' ? { 'if-match': read.headers.get('etag') ?? '' } : {};
    answers.push(await client.patch(kit[contract], body, headers));
  }
  return { answers, made };
};

/** Every kit that a script has made, and both lists of both callers, byte for byte. */
const shown = async (rig: ApiRig, script: Script, made: readonly Made[]): Promise<string[]> => {
  const [client, practitioner] = [rig.as(script.client), rig.as(script.practitioner)];
  const asked = [
    ...made.flatMap(({ as, legacy, v2 }) =>
      [legacy, v2].map((path) => ({ as: as === 'client' ? client : practitioner, path })),
    ),
    ...['/kits?limit=100', '/v2/kits?limit=100'].map((path) => ({ as: client, path })),
    ...[legacyPath(script, 'practitioner'), '/v2/kits'].map((path) => ({ as: practitioner, path })),
  ];
  const texts: string[] = [];
  for (const { as, path } of asked) {
    const { status, text, headers } = await as.get(path);
    expect([path, status]).toEqual([path, 200]);
    texts.push(`${path} ${headers.get('etag')} ${headers.get('link')} ${text}`);
  }
  return texts;
};

const failedKeys = async (rig: ApiRig) =>
  (await rig.legacy.pool.query('select * from migration.pending_sync where error is not null'))
    .rows;

const inStage = async (script: Script, stage: ApiStage) => {
  const rig = await mappedApi(script);
  try {
    const binding = await bringTo(rig, stage);
    const { answers, made } = await perform(rig, script);
    const before = await shown(rig, script, made);
    expect(await failedKeys(rig)).toEqual([]);
    if (stage === 'mirrored' || stage === 'dual-write')
      expect(await parity(rig.legacy.db, binding)).toMatchObject({ done: true, mismatched: 0 });
    if (stage !== 'legacy') {
      await rollBackTo(rig, binding);
      expect(await shown(rig, script, made)).toEqual(before);
    }
    const rows = [];
    for (const [relation, id, order] of script.tables)
      rows.push(await lastingRows(rig, relation, id, order));
    return { answers: answers.map(lastingResponse), rows, made: made.length };
  } finally {
    await rig.close();
  }
};

describe('a value that the tables cannot take', () => {
  it('is pointed at where it stands, under either contract', async () => {
    const rig = await mappedApi(odd);
    const client = rig.as(odd.client);
    const pointers = async (answer: Promise<ApiResponse>) => {
      const { status, body } = await answer;
      expect(status).toBe(422);
      return (body.errors as { pointer: string }[]).map(({ pointer }) => pointer);
    };
    const kit = { kitNumber: 'N', ownerType: 'client' };
    const long = 'eleven char';
    expect(await pointers(client.post('/kits', { kitNumber: 'N', remark: long }))).toEqual([
      '/remark',
    ]);
    expect(
      await pointers(client.post('/v2/kits', { ...kit, attributes: { remark: long } })),
    ).toEqual(['/attributes/remark']);
    expect(await pointers(client.post('/v2/kits', { ...kit, orderId: long }))).toEqual([
      '/orderId',
    ]);
    const { kitsId } = (await client.get('/kits/1')).body;
    const change = (body: object) => client.patch(`/v2/kits/${kitsId}`, body, { 'if-match': '*' });
    expect(await pointers(change({ attributes: { gift: null } }))).toEqual(['/attributes/gift']);
    expect(await pointers(change({ kitType: null }))).toEqual(['/kitType']);
    await rig.close();
  });
});

describe.each([odd, plain, await clinic()])('$name', (script) => {
  let legacy: Awaited<ReturnType<typeof inStage>>;
  beforeAll(async () => {
    legacy = await inStage(script, 'legacy');
  });

  it('are served by the API as far as their tables can take it', () => {
    const { answers, made } = legacy;
    expect(answers.map((answer) => (answer as { status: number }).status)).toEqual([
      ...script.creations.map(({ refused = 201 }) => refused),
      ...script.changes.map(({ refused = 200 }) => refused),
    ]);
    expect(made).toBeGreaterThan(3);
  });

  it.each(API_STAGES.slice(1))(
    'answer alike in stage %s, and hold the same rows after a rollback',
    async (stage) => {
      const there = await inStage(script, stage);
      for (const [index, answer] of there.answers.entries())
        expect([[...script.creations, ...script.changes][index], answer]).toEqual([
          [...script.creations, ...script.changes][index],
          legacy.answers[index],
        ]);
      expect(there.rows).toEqual(legacy.rows);
    },
  );
});
