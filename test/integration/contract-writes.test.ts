import type { Store } from '@unified-kits/domain';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { claimsOf } from '../../functions/phase4-contract-check/contract-request.ts';
import { type Answers, apiOver, ask, storeApis, undescribed } from '../support/contract.ts';
import { serviceOn, type TestService } from '../support/kits-service.ts';
import { installed, type LegacyDatabase } from '../support/legacy.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { CALLERS, goldenDatabase, PRACTICE, practitionerKit } from './golden/data.ts';
import type { GoldenRequest } from './golden/exchanges.ts';
import { Replay } from './golden/replay.ts';

const FLAGS = {
  mirrored: {},
  'dual-write': { unifiedReads: true, unifiedWrites: true, dualWrite: true },
} as const;
type Stage = keyof typeof FLAGS;

/** One of two equal databases, and the API that writes to the store that leads there. */
interface Side {
  readonly legacy: LegacyDatabase;
  readonly rig: TestService;
  readonly replay: Replay;
  readonly stores: Readonly<Record<Store, Answers>>;
  readonly faultsOf: ReturnType<typeof undescribed>;
}

const sideIn = async (stage: Stage): Promise<Side> => {
  const legacy = await goldenDatabase();
  const rig = await serviceOn(legacy);
  await migrateTo(legacy.db, await installed(legacy), stage);
  rig.flags.set(FLAGS[stage]);
  await rig.flags.read();
  return {
    legacy,
    rig,
    replay: new Replay(apiOver(rig.service, legacy.mapping)),
    stores: storeApis(rig),
    faultsOf: undescribed(legacy.mapping, await rig.service.idTypes()),
  };
};

const closed = async ({ rig, legacy }: Side) => {
  await rig.close();
  await legacy.drop();
};

/** Sends a request, and reads what it wrote from both stores at once. */
const sent = async ({ replay, stores, faultsOf }: Side, request: GoldenRequest) => {
  const { exchange, answer } = await replay.ask(request);
  expect(faultsOf(request.method, answer), request.name).toEqual([]);
  const { statusCode, headers = {}, body } = answer.response;
  if (statusCode === 200 || statusCode === 201) {
    const path = typeof headers.location === 'string' ? headers.location : undefined;
    // A replayed response is that of its time; the kit may have changed since.
    if (headers['idempotency-replayed'] === undefined)
      for (const store of Object.values(stores)) {
        const read = await ask(store, {
          claims: request.as === 'nobody' ? undefined : claimsOf(CALLERS[request.as]),
          method: 'GET',
          path: path ?? replay.filledIn(request.path),
        });
        expect(read.response.body, `${request.name} read again`).toBe(body);
        expect(read.response.headers?.etag).toBe(headers.etag);
      }
  }
  return exchange;
};

/** What is there to be changed: a kit by what its ids are, or by the names that stand for them. */
interface Target {
  readonly as: GoldenRequest['as'];
  readonly id: string;
  readonly kitsId: string;
}

type Contract = 'legacy' | 'v2';
const isClients = (as: GoldenRequest['as']) => as === 'ada' || as === 'bob';
const listOf = (as: GoldenRequest['as'], contract: Contract) =>
  contract === 'v2' ? '/v2/kits' : isClients(as) ? '/kits' : PRACTICE;
const pathOf = ({ as, id, kitsId }: Target, contract: Contract) =>
  `${listOf(as, contract)}/${contract === 'v2' ? kitsId : id}`;

/** A number that JavaScript cannot hold, where a body says so. */
const EXACT = '12345678901234567890.12345678901234567890';
const bodyText = (body: object) => JSON.stringify(body).replaceAll('"$EXACT"', EXACT);

const text = fc.option(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('O 1', "'; drop table kits; --", 'ß😀', 'x'.repeat(200)),
  ),
);
const metadata = fc.option(
  fc.oneof(
    fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 5 }), fc.jsonValue({ maxDepth: 2 }), {
      maxKeys: 3,
    }),
    fc.constant({ exact: '$EXACT', nested: [{ exact: '$EXACT' }] }),
  ),
);
const fields = fc.record({ orderId: text, kitType: text, metadata }, { requiredKeys: [] });
const shown = fc.record(
  { notes: text, patientName: text, patientEmail: text },
  { requiredKeys: [] },
);
const contract = fc.constantFrom<Contract>('legacy', 'v2');
const WORDS = [
  'created',
  'ordered',
  'registered',
  'registered',
  'collected',
  'sampled',
  'cancelled',
  'received',
  'lost',
];

const commands = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('create' as const),
      as: fc.constantFrom<GoldenRequest['as']>('ada', 'bob', 'practitioner', 'dora'),
      contract,
      number: fc.oneof(fc.nat(5), fc.constantFrom('G-1', 'H-9', ' ')),
      key: fc.option(fc.nat(2)),
      fields,
      shown,
    }),
    fc.record({
      kind: fc.constant('change' as const),
      target: fc.nat(),
      contract,
      condition: fc.constantFrom('none', 'current', 'other', 'any'),
      status: fc.option(fc.constantFrom(...WORDS)),
      fields,
      shown,
    }),
  ),
  { minLength: 5, maxLength: 12 },
);

/** Attributes of the kind of kit, most of the time: those of the other kind are refused. */
const attributesFor = (
  as: GoldenRequest['as'],
  {
    notes,
    patientName,
    patientEmail,
  }: { [Name in 'notes' | 'patientName' | 'patientEmail']?: string | null },
) => {
  const given = isClients(as) ? { notes } : { patientName, patientEmail };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
};

const RUNS = Number(process.env.CONTRACT_WRITES_RUNS ?? 30);

describe('two equal databases, one led by the legacy tables and one by kits', () => {
  let sides: readonly [Side, Side];
  beforeAll(async () => {
    sides = [await sideIn('mirrored'), await sideIn('dual-write')];
  });
  afterAll(() => Promise.all(sides.map(closed)));

  /** Sends the same to both; what they answer must be the same. */
  const both = async (request: GoldenRequest) => {
    const [one, other] = [await sent(sides[0], request), await sent(sides[1], request)];
    expect(other.response, request.name).toEqual(one.response);
    return one.response;
  };

  it('answer the same writes alike, byte for byte, and read them from either store at once', async () => {
    const targets: Target[] = [
      { as: 'ada', id: '1', kitsId: '018cc477-4500-84b7-afe9-d9c48cb45343' },
      { as: 'ada', id: '2', kitsId: '018cc70a-7300-897d-ac1d-5f830972d982' },
      {
        as: 'practitioner',
        id: practitionerKit(1),
        kitsId: '018df74f-8400-8b22-afb5-cd45828498b4',
      },
    ];
    let run = 0;
    let count = 0;
    const statuses = new Map<number, number>();
    const property = fc.asyncProperty(commands, async (sequence) => {
      run += 1;
      for (const command of sequence) {
        count += 1;
        const name = `k${count}`;
        const headers: Record<string, string> = { 'content-type': 'application/json' };
        if (command.kind === 'create') {
          const { as, contract, number, key, fields, shown } = command;
          const attributes = attributesFor(as, shown);
          if (key !== null) headers['idempotency-key'] = `${run}-${key}`;
          const body = {
            kitNumber: typeof number === 'number' ? `W ${run}-${number}` : number,
            ...fields,
            ...(contract === 'legacy'
              ? attributes
              : { attributes, ownerType: isClients(as) ? 'client' : 'practitioner' }),
          };
          const { status } = await both({
            name: `${name}: create`,
            as,
            method: 'POST',
            path: listOf(as, contract),
            headers,
            body: bodyText(body),
            keep: name,
          });
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          if (status === 201) targets.push({ as, id: `{${name}.id}`, kitsId: `{${name}.kitsId}` });
          continue;
        }
        const { contract, condition, status: wished, fields, shown } = command;
        const target = targets[command.target % targets.length];
        if (target === undefined) throw new TypeError('some kits are always there');
        const path = pathOf(target, contract);
        const attributes = attributesFor(target.as, shown);
        if (condition === 'any') headers['if-match'] = '*';
        if (condition === 'other') headers['if-match'] = '"other"';
        if (condition === 'current') {
          await both({
            name: `${name}: read`,
            as: target.as,
            method: 'GET',
            path,
            keep: 'current',
          });
          headers['if-match'] = '{current.etag}';
        }
        const { status } = await both({
          name: `${name}: change`,
          as: target.as,
          method: 'PATCH',
          path,
          headers,
          body: bodyText({
            ...(wished === null ? {} : { status: wished }),
            ...fields,
            ...(contract === 'legacy' ? attributes : { attributes }),
          }),
        });
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
      }
    });
    await fc.assert(property, { numRuns: RUNS });
    // Otherwise nothing was shown of one of them.
    for (const status of [200, 201, 409, 412, 422]) expect(statuses.get(status)).toBeGreaterThan(0);
  });

  it('hold the same rows and events afterwards, and nothing waits to be re-synchronised', async () => {
    const contentOf = async ({ legacy, replay }: Side, sql: string) =>
      (await legacy.pool.query(sql)).rows.map(({ row }) => replay.normalised(row));
    const rows = [
      'select to_jsonb(t)::text as row from kit t',
      'select to_jsonb(t)::text as row from practitioner_kits t',
      `select (to_jsonb(t) - '{migration_batch_id,migrated_at}'::text[])::text as row from kits t`,
    ];
    for (const sql of rows) {
      const [one, other] = [await contentOf(sides[0], sql), await contentOf(sides[1], sql)];
      expect(one.length).toBeGreaterThan(9);
      expect(other.sort()).toEqual(one.sort());
    }
    const events = 'select body::text as row from kits_service.kit_event order by number';
    const told = await contentOf(sides[0], events);
    expect(told.length).toBeGreaterThan(0);
    expect(await contentOf(sides[1], events)).toEqual(told);
    for (const { legacy, rig } of sides) {
      expect((await legacy.pool.query('select from migration.pending_sync')).rowCount).toBe(0);
      expect(await parity(legacy.db, rig.binding)).toMatchObject({ mismatched: 0 });
      expect(rig.counts).toEqual({ redirected: 0, staleReadAvoided: 0 });
    }
  });
});

describe.each(['mirrored', 'dual-write'] as const)('a kit that was made in stage %s', (stage) => {
  let side: Side;
  beforeAll(async () => {
    side = await sideIn(stage);
  });
  afterAll(() => closed(side));

  it.each([
    ['ada', '/kits', { kitNumber: 'S-1', notes: 'n' }],
    ['practitioner', PRACTICE, { kitNumber: 'S-2', patientName: 'P' }],
    ['ada', '/v2/kits', { kitNumber: 'S-3', ownerType: 'client' }],
    ['practitioner', '/v2/kits', { kitNumber: 'S-4', ownerType: 'practitioner' }],
  ] as const)(
    'as %s at %s is the same in both contracts from either store',
    async (as, path, body) => {
      const made = await sent(side, {
        name: 'made',
        as,
        method: 'POST',
        path,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        keep: 'made',
      });
      expect(made.response.status).toBe(201);
      const target = { as, id: '{made.id}', kitsId: '{made.kitsId}' };
      for (const contract of ['legacy', 'v2'] as const) {
        const request = {
          claims: claimsOf(CALLERS[as]),
          method: 'GET',
          path: side.replay.filledIn(pathOf(target, contract)),
        };
        const { legacy, kits } = side.stores;
        const [one, other] = [await ask(legacy, request), await ask(kits, request)];
        expect(one.response.statusCode).toBe(200);
        expect(other.response).toEqual(one.response);
      }
    },
  );
});
