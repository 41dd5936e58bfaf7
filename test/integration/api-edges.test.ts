import {
  bindInstalled,
  bindService,
  type Database,
  installKits,
  type KitStore,
  openDatabase,
  type Session,
} from '@unified-kits/data';
import { type Caller, referenceMapping } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { freshDatabase, type TestDatabase } from '../support/database.ts';
import { migrateTo } from '../support/migration.ts';

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
