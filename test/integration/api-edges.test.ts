import {
  bindInstalled,
  bindService,
  type Database,
  installKits,
  type KitStore,
  openDatabase,
  type Session,
} from '@unified-kits/data';
import { type Caller, type MappingInput, referenceMapping } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { closeDatabaseAt } from '../../functions/runtime/database.ts';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import type { ApiResponse, ApiRig } from '../support/api.ts';
import { API_STAGES, bringTo } from '../support/api-stage.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { mappedApi, rollBackTo } from '../support/mapped-api.ts';
import { migrateTo, parity } from '../support/migration.ts';

interface Own {
  readonly client: number;
  readonly practitioner: number;
}
/** How many kits each owner has. */
const OWN: Readonly<Record<'light' | 'heavy', Own>> = {
  light: { client: 5, practitioner: 48 },
  heavy: { client: 5, practitioner: 5_047 },
};

/** One practitioner has a twentieth of all kits, and came last: theirs stand at the end of the index of ids. */
const MANY_KITS = `
insert into users select md5('user' || n)::uuid from generate_series(0, 19999) n;
insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || n)::uuid from generate_series(0, 1999) n;
insert into kit (kit_number, user_id, metadata, notes, created_at)
select 'K' || n, md5('user' || n % 20000)::uuid, jsonb_build_object('n', n), 'note ' || n, timestamptz '2023-01-01' + n * interval '1 minute'
  from generate_series(1, 100000) n;
insert into practitioner_kits (id, kit_number, practitioner_id, patient_name, created_at)
select (lpad(to_hex(n), 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'P' || n,
       md5('practitioner' || case when n > 95000 then 0 else n % 2000 end)::uuid, 'Patient ' || n, timestamptz '2023-06-01' + n * interval '1 minute'
  from generate_series(1, 100000) n;
`;

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** How the statements of some work read the tables of kits: the kinds of scans, and how many rows they saw. */
const readsOf = async (session: Session, work: (session: Session) => Promise<unknown>) => {
  const scans = new Set<string>();
  let seen = 0;
  const visit = (node: PlanNode): void => {
    if (['kit', 'practitioner_kits', 'kits'].includes(node['Relation Name'] ?? '')) {
      scans.add(node['Node Type']);
      const rows =
        node['Actual Rows'] +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0);
      seen += rows * node['Actual Loops'];
    }
    node.Plans?.forEach(visit);
  };
  const explaining = {
    async query(text: string, values?: unknown[]) {
      const { rows } = await session.query(`explain (analyze, format json) ${text}`, values);
      visit(rows[0]['QUERY PLAN'][0].Plan);
      return session.query(text, values);
    },
  } as unknown as Session;
  await work(explaining);
  return { scans: [...scans].sort(), seen };
};

describe('a hundred thousand kits of each source', () => {
  let database: TestDatabase;
  let db: Database;
  type Practitioner = Caller & { readonly practitionerId: string };
  let callers: Record<'light' | 'heavy', Practitioner>;
  /** By user, the kits id of the practitioner's last kit. */
  const last: Record<string, string> = {};
  beforeAll(async () => {
    database = await freshDatabase();
    db = openDatabase(database.url, 4);
    await database.pool.query(REFERENCE_SCHEMA);
    await database.pool.query(MANY_KITS);
    await installKits(db, referenceMapping, 'test');
    const binding = await db.transaction({}, (session) => bindInstalled(session, referenceMapping));
    await migrateTo(db, binding, 'mirrored');
    await database.pool.query('analyze kit; analyze practitioner_kits; analyze kits');
    const caller = async (n: number) =>
      (
        await database.pool.query(
          `select md5('user' || $1)::uuid::text as "userId", md5('practitioner' || $1)::uuid::text as "practitionerId"`,
          [n],
        )
      ).rows[0];
    callers = { light: await caller(77), heavy: await caller(0) };
    for (const [owner, { userId, practitionerId }] of Object.entries(callers)) {
      const { rows } = await database.pool.query(
        `select (max(id::text)) as last, count(*)::int as n from kits where practitioner_id = $1`,
        [practitionerId],
      );
      last[userId] = rows[0].last;
      expect(rows[0].n).toBe(OWN[owner as 'light' | 'heavy'].practitioner);
    }
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });

  /** What the API asks of a store, and the most rows that each store may look at for it. */
  const ASKED: readonly {
    readonly what: string;
    readonly ask: (store: KitStore, session: Session, caller: Practitioner) => Promise<unknown>;
    readonly most: (own: Own) => Readonly<Record<'legacy' | 'kits', number>>;
  }[] = [
    {
      what: 'a kit by its legacy id',
      ask: async (store, session, caller) =>
        store.find(
          session,
          { source: 'kit', legacyId: caller === callers.light ? '77' : '20000' },
          caller,
        ),
      most: () => ({ legacy: 1, kits: 1 }),
    },
    {
      what: 'a kit by its kits id',
      ask: async (store, session, caller) => {
        const { value } = await store.find(session, { kitsId: last[caller.userId] ?? '' }, caller);
        expect(value).toBeDefined();
      },
      // It cannot be turned back into a legacy id.
      most: ({ client, practitioner }) => ({ legacy: client + practitioner, kits: 1 }),
    },
    {
      what: "a client's kits",
      ask: (store, session, { userId }) =>
        store.list(session, { ownerType: 'client', id: userId }, { after: undefined, limit: 51 }),
      most: ({ client }) => ({ legacy: client, kits: client }),
    },
    {
      what: "a practitioner's kits",
      ask: (store, session, { practitionerId }) =>
        store.list(
          session,
          { ownerType: 'practitioner', id: practitionerId },
          { after: undefined, limit: 51 },
        ),
      most: ({ practitioner }) => ({ legacy: practitioner, kits: practitioner }),
    },
    {
      what: "more of a practitioner's kits",
      ask: (store, session, { practitionerId }) =>
        store.list(
          session,
          { ownerType: 'practitioner', id: practitionerId },
          { after: '00017600-0000-4000-8000-000000000000', limit: 51 },
        ),
      most: ({ practitioner }) => ({ legacy: practitioner, kits: practitioner }),
    },
    {
      what: 'all that a caller owns',
      ask: (store, session, caller) =>
        store.listAll(session, caller, { after: undefined, limit: 51 }),
      most: ({ client, practitioner }) => ({ legacy: client + practitioner, kits: 102 }),
    },
    {
      what: 'more of all that a caller owns',
      ask: (store, session, caller) =>
        store.listAll(session, caller, {
          after: '018774cc-0000-8000-a000-000000000000',
          limit: 51,
        }),
      most: ({ client, practitioner }) => ({ legacy: client + practitioner, kits: 102 }),
    },
    {
      what: "all that a practitioner's user owns as a client",
      ask: (store, session, { userId }) =>
        store.listAll(session, { userId }, { after: undefined, limit: 51 }),
      most: ({ client }) => ({ legacy: client, kits: client }),
    },
    {
      what: 'the kits of a page',
      ask: (store, session) =>
        store.findMany(
          session,
          'kit',
          Array.from({ length: 51 }, (_, n) => String(1 + n * 1_900)),
        ),
      most: () => ({ legacy: 51, kits: 51 }),
    },
    {
      what: 'what a birth needs to know',
      ask: (store, session, { userId }) =>
        store.checkBirth(session, { ownerType: 'client', id: userId }, 'P777'),
      most: () => ({ legacy: 1, kits: 0 }),
    },
  ];

  describe.each(['legacy', 'kits'] as const)('in %s', (name) => {
    describe.each(['light', 'heavy'] as const)('for an owner of a %s lot', (owner) => {
      it.each(ASKED)('are found by an index: $what', async ({ ask, most }) => {
        const { scans, seen } = await db.transaction(
          { readOnly: true, asApplication: true },
          async (session) => {
            const store = (await bindService(session, referenceMapping)).stores[name];
            return readsOf(session, (explaining) => ask(store, explaining, callers[owner]));
          },
        );
        expect(scans).not.toContain('Seq Scan');
        const bound = most(OWN[owner])[name];
        expect(seen).toBeLessThanOrEqual(bound);
        expect(seen > 0).toBe(bound > 0);
      });
    });
  });
});

const CLIENT: Caller = { userId: '00000000-0000-4000-8000-000000000001' };
const PRACTITIONER = {
  userId: '00000000-0000-4000-8000-000000000002',
  practitionerId: '00000000-0000-4000-8000-000000000003',
};
const THEIRS = `/practitioners/${PRACTITIONER.practitionerId}/kits`;

/** The reference schema with two owners and whatever an organisation has added to it. */
const reference = (added: string, mapping: MappingInput = referenceMapping) =>
  mappedApi({
    ddl: `${REFERENCE_SCHEMA}
insert into users values ('${CLIENT.userId}'), ('${PRACTITIONER.userId}');
insert into practitioners values ('${PRACTITIONER.practitionerId}', '${PRACTITIONER.userId}');
${added}`,
    mapping,
  });

/** A system for one test. */
const having = async (added: string, test: (rig: ApiRig) => Promise<void>) => {
  const rig = await reference(added);
  try {
    await test(rig);
  } finally {
    await rig.close();
  }
};

const statusOf = async (answer: Promise<ApiResponse>) => (await answer).status;
const run = async (rig: ApiRig, sql: string) => (await rig.legacy.pool.query(sql)).rows;

describe("an organisation's own trigger on a legacy table", () => {
  const TRIGGER = `
create function shout() returns trigger language plpgsql as $$ begin new.order_id := upper(new.order_id); new.notes := coalesce(new.notes, '') || '!'; return new; end $$;
create trigger shout before insert or update on kit for each row execute function shout();`;
  const through = async (rig: ApiRig) => {
    const client = rig.as(CLIENT);
    const made = await client.post('/kits', { kitNumber: 'T', orderId: 'abc', notes: 'a' });
    expect(made.status, made.text).toBe(201);
    const path = `/kits/${made.body.id}`;
    expect((await client.get(path)).text).toBe(made.text);
    const headers = { 'if-match': made.headers.get('etag') ?? '' };
    const changed = await client.patch(path, { orderId: 'def' }, headers);
    expect(changed.status, changed.text).toBe(200);
    expect((await client.get(path)).text).toBe(changed.text);
    return { path, body: changed.body, text: changed.text };
  };

  it.each(['legacy', 'copying', 'mirrored'] as const)(
    'is heard in every answer while the legacy tables lead, in stage %s',
    (stage) =>
      having(TRIGGER, async (rig) => {
        const binding = await bringTo(rig, stage);
        const { path, body, text } = await through(rig);
        expect(body).toMatchObject({ orderId: 'DEF', notes: 'a!!' });
        if (stage !== 'mirrored') return;
        expect(await parity(rig.legacy.db, binding)).toMatchObject({ compared: 1, mismatched: 0 });
        await rollBackTo(rig, binding);
        expect((await rig.as(CLIENT).get(path)).text).toBe(text);
      }),
  );

  it('may refuse a value, and its message stays behind', () =>
    having(
      `create function no() returns trigger language plpgsql as $$ begin if new.order_id = 'no' then raise exception 'not for %', new.kit_number; end if; return new; end $$;
       create trigger no before insert or update on kit for each row execute function no();`,
      async (rig) => {
        const refused = await rig.as(CLIENT).post('/kits', { kitNumber: 'T', orderId: 'no' });
        expect([refused.status, refused.body.errors]).toEqual([
          422,
          [{ pointer: '', detail: 'the database refuses this value' }],
        ]);
        expect(JSON.stringify(rig.log)).not.toContain('not for');
        expect(
          await statusOf(rig.as(CLIENT).post('/kits', { kitNumber: 'T', orderId: 'yes' })),
        ).toBe(201);
      },
    ));

  it.each(['dual-write', 'unified'] as const)(
    'changes nothing once kits leads, nor on the way back, in stage %s',
    (stage) =>
      having(TRIGGER, async (rig) => {
        const binding = await bringTo(rig, stage);
        const { path, body, text } = await through(rig);
        expect(body).toMatchObject({ orderId: 'def', notes: 'a' });
        await rollBackTo(rig, binding);
        expect((await rig.as(CLIENT).get(path)).text).toBe(text);
        const again = await rig.as(CLIENT).patch(path, { orderId: 'x' });
        expect(again.body).toMatchObject({ orderId: 'X', notes: 'a!' });
      }),
  );
});

describe('row level security on a legacy table', () => {
  const POLICY = `
insert into kit (kit_number, user_id, notes) values ('HIDDEN', '${CLIENT.userId}', 'secret');
alter table kit enable row level security;
alter table kit force row level security;`;

  it.each(API_STAGES)('lets the API do what its policies let it do, in stage %s', (stage) =>
    having(POLICY, async (rig) => {
      await run(rig, `create policy service on kit to kits_app using (true)`);
      const binding = await bringTo(rig, stage);
      const client = rig.as(CLIENT);
      const made = await client.post('/kits', { kitNumber: 'S', notes: 'a' });
      expect(made.status, made.text).toBe(201);
      const path = `/kits/${made.body.id}`;
      const changed = await client.patch(path, { notes: 'b', status: 'registered' });
      expect(changed.status, changed.text).toBe(200);
      const list = await client.get('/v2/kits');
      expect(list.body.kits).toHaveLength(2);
      if (stage === 'legacy') return;
      await rollBackTo(rig, binding);
      expect((await client.get(path)).text).toBe(changed.text);
      expect((await client.get('/v2/kits')).text).toBe(list.text);
    }),
  );

  it('hides from the API what its policies hide, also whether it is there', () =>
    having(POLICY, async (rig) => {
      await run(rig, `create policy service on kit to kits_app using (kit_number <> 'HIDDEN')`);
      const client = rig.as(CLIENT);
      expect((await client.get('/kits')).text).toBe('{"kits":[],"nextCursor":null}');
      expect(await statusOf(client.get('/kits/1'))).toBe(404);
      expect(await statusOf(client.patch('/kits/1', { notes: 'x' }))).toBe(404);
    }));
});

describe('a legacy column that no request can fill', () => {
  it.each([...API_STAGES, 'copying'] as const)(
    'makes kits of its source not creatable, and of no other, in stage %s',
    (stage) =>
      having('alter table kit add column shelf integer not null', async (rig) => {
        await bringTo(rig, stage);
        const [client, practitioner] = [rig.as(CLIENT), rig.as(PRACTITIONER)];
        for (const answer of [
          await client.post('/kits', { kitNumber: 'N' }),
          await client.post('/v2/kits', { kitNumber: 'N', ownerType: 'client' }),
          await client.post('/kits', { kitNumber: 'N' }, { 'idempotency-key': 'n' }),
        ]) {
          expect([answer.status, answer.body.type]).toEqual([501, '/problems/not-creatable']);
          expect(answer.text).not.toContain('shelf');
        }
        expect(JSON.stringify(rig.log)).toContain('shelf');
        expect(await statusOf(practitioner.post(THEIRS, { kitNumber: 'N' }))).toBe(201);
        expect(
          await run(rig, 'select from migration.pending_sync where error is not null'),
        ).toEqual([]);
        expect((await run(rig, 'select from kits_service.idempotency_key')).length).toBe(0);
      }),
  );

  it('makes kits not creatable where only the legacy table would compute it, and no request may change it', () =>
    having(
      `alter table kit drop column kit_type; alter table kit add column kit_type text generated always as ('type of ' || kit_number) stored;
       insert into kit (kit_number, user_id) values ('G', '${CLIENT.userId}');`,
      async (rig) => {
        const client = rig.as(CLIENT);
        expect(await statusOf(client.post('/kits', { kitNumber: 'N' }))).toBe(501);
        const refused = await client.patch('/kits/1', { kitType: 'mine' });
        expect([refused.status, refused.body.errors]).toEqual([
          422,
          [{ pointer: '/kitType', detail: 'is computed by the database' }],
        ]);
        expect((await client.patch('/kits/1', { notes: 'x' })).body).toMatchObject({
          kitType: 'type of G',
        });
      },
    ));
});

describe('a legacy table that changes while the service runs', () => {
  const create = (rig: ApiRig, kitNumber: string) =>
    rig.as(CLIENT).post('/kits', { kitNumber, notes: 'n' });

  it('is served on when a column goes that the API does not show', () =>
    having('alter table kit add column junk text default 1', async (rig) => {
      expect(await statusOf(create(rig, 'A'))).toBe(201);
      await run(rig, 'alter table kit drop column junk');
      expect(await statusOf(create(rig, 'B'))).toBe(201);
      await run(
        rig,
        'alter table kit add column later text; alter table kit rename column later to sooner',
      );
      expect(await statusOf(create(rig, 'C'))).toBe(201);
      expect((await rig.as(CLIENT).get('/kits')).body.kits).toHaveLength(3);
    }));

  it('is out of order while a column that the API shows is gone, says nothing of it, and heals by itself', () =>
    having('', async (rig) => {
      expect(await statusOf(create(rig, 'A'))).toBe(201);
      await run(rig, 'alter table kit rename column notes to remarks');
      for (const answer of [
        create(rig, 'B'),
        rig.as(CLIENT).get('/kits/1'),
        rig.as(CLIENT).get('/v2/kits'),
      ]) {
        const { status, text } = await answer;
        expect(status).toBe(500);
        expect(text).not.toMatch(/notes|remarks|column|kit\b/);
      }
      await run(rig, 'alter table kit rename column remarks to notes');
      expect(await statusOf(create(rig, 'B'))).toBe(201);
      expect((await rig.as(CLIENT).get('/kits')).body.kits).toHaveLength(2);
    }));

  it('takes values by its new rules at once while it leads', () =>
    having('', async (rig) => {
      expect(await statusOf(create(rig, 'A'))).toBe(201);
      await run(
        rig,
        'alter table kit alter column notes type varchar(3), add constraint short check (order_id <> $$no$$)',
      );
      const patch = (body: object) => statusOf(rig.as(CLIENT).patch('/kits/1', body));
      expect(await patch({ notes: 'long' })).toBe(422);
      expect(await patch({ orderId: 'no' })).toBe(422);
      expect(await patch({ notes: 'ok', orderId: 'yes' })).toBe(200);
      await run(
        rig,
        'alter table kit add column shelf integer not null default 1; alter table kit alter column shelf drop default',
      );
      expect(await statusOf(create(rig, 'B'))).toBe(501);
      await run(rig, 'alter table kit alter column shelf set default 1');
      expect(await statusOf(create(rig, 'B'))).toBe(201);
    }));

  it.each(['dual-write', 'unified'] as const)(
    'troubles no client once kits leads, in stage %s',
    (stage) =>
      having('', async (rig) => {
        await bringTo(rig, stage);
        const made = await create(rig, 'A');
        expect(made.status).toBe(201);
        await run(
          rig,
          `alter table kit rename column notes to remarks; alter table kit drop column order_id;
         alter table kit add column extra integer, add constraint small check (extra < 10), add constraint numbers check (kit_number <> 'C')`,
        );
        const path = `/kits/${made.body.id}`;
        const work = async () => {
          expect((await rig.as(CLIENT).get(path)).status).toBe(200);
          const changed = await rig.as(CLIENT).patch(path, { notes: 'still', orderId: 'here' });
          expect(changed.body).toMatchObject({ notes: 'still', orderId: 'here' });
          expect(await statusOf(create(rig, `B ${Math.random()}`))).toBe(201);
        };
        await work();
        // As a process does that starts now.
        await closeDatabaseAt(rig.serviceUrl);
        await work();
        expect(await statusOf(create(rig, 'C'))).toBe(201);
      }),
  );
});

describe('flags that cannot be read', () => {
  it.each(API_STAGES)(
    'cost no client an answer, for the database knows better, in stage %s',
    (stage) =>
      having('', async (rig) => {
        await bringTo(rig, stage);
        rig.system.aws.failNext('GetParameters', 'AccessDeniedException', 100);
        const client = rig.as(CLIENT);
        const made = await client.post('/kits', { kitNumber: 'F' });
        expect(made.status, made.text).toBe(201);
        const path = `/kits/${made.body.id}`;
        expect((await client.get(path)).text).toBe(made.text);
        expect(await statusOf(client.patch(path, { notes: 'x' }))).toBe(200);
        expect((await client.get('/v2/kits')).body.kits).toHaveLength(1);
      }),
  );
});
