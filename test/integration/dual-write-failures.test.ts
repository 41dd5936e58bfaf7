import { type Binding, drain } from '@unified-kits/data';
import type { Caller } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { METRICS } from '../../functions/runtime/metric-names.ts';
import { type ApiClient, type ApiOptions, type ApiRig, apiOn } from '../support/api.ts';
import { putFlag } from '../support/flags.ts';
import { clientOf, practitionerOf } from '../support/kits-service.ts';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { metricTotal, metricValues } from '../support/metric-lines.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { pinnedApi } from '../support/pinned-api.ts';
import { until, WAITING } from '../support/sessions.ts';
import { eventually, stageOf } from '../support/system.ts';

/** In every value that a failing write carries, so that one that leaks is found. */
const SECRET = 'Ada-Lovelace-4711';
/** The mirror gives up a lock after 250 ms; the rest is for machines with a lot to do. */
const BOUND_MS = 5_000;

let legacy: LegacyDatabase;
let binding: Binding;
let rig: ApiRig;
let caller: Caller;
let client: ApiClient;
/** The caller's own kits: the first one's writes will fail. */
let kit: string;
let other: string;

const run = (sql: string) => legacy.pool.query(sql);

const begin = async (options: ApiOptions = {}) => {
  legacy = await legacyDatabase(60);
  rig = await apiOn(legacy, options);
  binding = await installed(legacy);
  await migrateTo(legacy.db, binding, 'mirrored');
  await parity(legacy.db, binding);
  // By the flags, and not behind the back of a schedule that would bring the stage back to them.
  await rig.system.flags.write({ unifiedReads: true, unifiedWrites: true, dualWrite: true });
  await rig.system.aws.parameterChangesHandled();
  expect(await stageOf(rig)).toBe('dual-write');
  caller = await clientOf(legacy, 4);
  client = rig.as(caller);
  const { body } = await client.get('/kits');
  [kit = '', other = ''] = (body.kits as { id: number }[]).map(({ id }) => String(id));
};
const end = async () => {
  await rig.close();
  await legacy.drop();
};

const backlog = async (): Promise<{ source: string; key: string; error: string | null }[]> =>
  (
    await run(
      'select source, legacy_id as key, error from migration.pending_sync order by noted_at, 1, 2',
    )
  ).rows;
/** A run of `flag-changed`; the lines that it wrote. */
const flagChanged = async () => {
  const from = rig.log.length;
  await putFlag(rig, 'shadowReads', 0);
  return rig.log.slice(from);
};
const eventsOf = async (kitsId: unknown): Promise<string[]> =>
  (
    await legacy.pool.query(
      `select body ->> 'type' as type from kits_service.kit_event where kits_id = $1 order by number`,
      [kitsId],
    )
  ).rows.map(({ type }) => type);
/** Both stores hold the same, down to the last column of the last row. */
const exact = async () =>
  expect(await parity(legacy.db, binding)).toMatchObject({ mismatched: 0, done: true });

const timed = async <Result>(work: () => Promise<Result>): Promise<Result> => {
  const began = Date.now();
  const result = await work();
  expect(Date.now() - began).toBeLessThan(BOUND_MS);
  return result;
};

/** A way in which the legacy write fails while clients write to `kits`. */
interface Failure {
  readonly name: string;
  /** What the backlog says of it. */
  readonly error: string;
  readonly cause: string;
  readonly repair: string;
  /** What the client writes, where the secret as order id is not enough. */
  readonly change?: Readonly<Record<string, unknown>>;
  /** Whether the rows that were not written differ once the cause is gone. */
  readonly spread?: boolean;
}

const FAILURES: readonly Failure[] = [
  {
    name: 'a unique constraint',
    error: '23505 one_order',
    cause: `update kits set order_id = '${SECRET}' where source = 'kit' and legacy_id = '7'; alter table kit add constraint one_order unique (order_id)`,
    repair: 'alter table kit drop constraint one_order',
  },
  {
    name: 'a check',
    error: '23514 no_secrets',
    cause: `alter table kit add constraint no_secrets check (order_id <> '${SECRET}')`,
    repair: 'alter table kit drop constraint no_secrets',
  },
  {
    name: 'a not-null constraint',
    error: '23502',
    cause: 'alter table kit alter order_id set not null',
    repair: 'alter table kit alter order_id drop not null',
    change: { orderId: null, notes: SECRET },
  },
  {
    name: 'a foreign key',
    error: '23503 known_order',
    cause:
      'create table orders as select distinct order_id as id from kit; alter table orders add primary key (id); alter table kit add constraint known_order foreign key (order_id) references orders',
    repair: 'alter table kit drop constraint known_order',
  },
  {
    name: 'a column that has become too narrow',
    error: '22001',
    cause: 'alter table kit alter order_id type varchar(4)',
    repair: 'alter table kit alter order_id type text',
  },
  {
    name: 'a column that was dropped',
    error: '42703',
    cause: 'alter table kit drop column order_id',
    // It comes back at the table's end, and empty.
    repair: 'alter table kit add column order_id text',
    spread: true,
  },
  {
    name: 'a column that no rule names and that was dropped',
    error: '42703',
    cause: 'alter table kit drop column notes',
    repair: 'alter table kit add column notes text',
    spread: true,
  },
  {
    name: 'a column that was renamed',
    error: '42703',
    cause: 'alter table kit rename column order_id to gone',
    repair: 'alter table kit rename column gone to order_id',
  },
  {
    name: 'a table that was renamed',
    error: '42P01',
    cause: 'alter table kit rename to gone',
    repair: 'alter table gone rename to kit',
  },
  {
    name: "an organisation's trigger that raises, whoever writes",
    error: 'P0001',
    cause: `create function refuse() returns trigger language plpgsql as $f$ begin raise exception 'not %', new.order_id; end $f$;
      create trigger refuse before insert or update on kit for each row execute function refuse();
      alter table kit enable always trigger refuse`,
    repair: 'drop trigger refuse on kit',
  },
  {
    name: "a right that the engine's role has lost",
    error: '42501',
    cause: 'revoke insert, update on kit from kits_owner',
    repair: 'grant insert, update on kit to kits_owner',
  },
];

describe('in the dual-write window a client notices nothing of a legacy write that fails', () => {
  beforeEach(() => begin());
  afterEach(end);

  it.each(FAILURES)('for $name', async ({ error, cause, repair, change, spread }) => {
    const body = change ?? { orderId: SECRET };
    await run(cause);
    const changed = await timed(() => client.patch(`/kits/${kit}`, body));
    expect(changed.status, changed.text).toBe(200);
    expect(changed.body).toMatchObject(body);
    expect((await client.get(`/kits/${kit}`)).text).toBe(changed.text);
    expect(await backlog()).toEqual([{ source: 'kit', key: kit, error }]);
    const made = await timed(() => client.post('/kits', { kitNumber: 'N-1', ...(change ?? body) }));
    expect(made.status, made.text).toBe(201);
    expect((await client.get('/kits?limit=100')).text).toContain(made.text);
    expect(await backlog()).toHaveLength(2);
    // Kits of the other owner type have nothing to do with it.
    const practitioner = await practitionerOf(legacy, 2);
    const theirs = `/practitioners/${practitioner.practitionerId}/kits`;
    const unhurt = await rig.as(practitioner).post(theirs, { kitNumber: 'N-2' });
    expect(unhurt.status, unhurt.text).toBe(201);
    expect(await backlog()).toHaveLength(2);

    // A process that starts meanwhile serves its clients no worse.
    const cold = await pinnedApi(rig, { unifiedReads: true, unifiedWrites: true, dualWrite: true });
    const again = await timed(() =>
      cold.as(caller).patch(`/kits/${kit}`, { status: 'registered' }),
    );
    expect([again.status, again.body], again.text).toMatchObject([200, { status: 'registered' }]);
    const born = await cold.as(caller).post('/kits', { kitNumber: 'N-3' });
    expect(born.status, born.text).toBe(201);
    await cold.stop();

    const failed = (await backlog()).length;
    const log = await flagChanged();
    expect(metricValues(log, METRICS.MirrorFailuresSeen)).toEqual([failed]);
    expect(metricValues(log, METRICS.BacklogSize, { cause: 'mirror' })).toEqual([failed]);
    expect(JSON.stringify([await backlog(), rig.log])).not.toContain(SECRET);

    await run(repair);
    await flagChanged();
    if (spread === true) {
      expect((await parity(legacy.db, binding)).mismatched).toBeGreaterThan(0);
      await flagChanged();
    }
    expect(await backlog()).toEqual([]);
    await exact();
    expect(await eventsOf(changed.body.kitsId)).toEqual(['kit.updated', 'kit.registered']);
    expect(await eventsOf(made.body.kitsId)).toEqual(['kit.created']);
  });

  it('for a row that another session holds', async () => {
    const holder = await legacy.client();
    await holder.query(`begin; select from kit where id = ${kit} for update`);
    const changed = await timed(() => client.patch(`/kits/${kit}`, { orderId: SECRET }));
    expect(changed.status, changed.text).toBe(200);
    expect(await backlog()).toEqual([{ source: 'kit', key: kit, error: '55P03' }]);
    await holder.query('rollback');
    await flagChanged();
    expect(await backlog()).toEqual([]);
    await exact();
  });

  it('for a table that another session holds, however many clients write', async () => {
    const holder = await legacy.client();
    await holder.query('begin; lock table kit in access exclusive mode');
    const writers = [];
    for (let n = 10; n < 16; n += 1) {
      const own = rig.as(await clientOf(legacy, n));
      writers.push(timed(() => own.post('/kits', { kitNumber: `N-${n}`, orderId: SECRET })));
    }
    for (const made of await Promise.all(writers)) expect(made.status, made.text).toBe(201);
    expect((await backlog()).map(({ error }) => error)).toEqual(Array(6).fill('55P03'));
    await holder.query('rollback');
    await flagChanged();
    expect(await backlog()).toEqual([]);
    await exact();
  });

  it('for a deadlock that it would lose', async () => {
    // Far below the lock timeout, so that the mirror is told of the deadlock and not of the time.
    const login = new URL(rig.serviceUrl).username;
    await run(`alter role ${login} set deadlock_timeout = '150ms'`);
    await run(`select pg_terminate_backend(pid) from pg_stat_activity where usename = '${login}'`);
    const holder = await legacy.client();
    await holder.query(
      `begin; set local deadlock_timeout = '10s'; select from kit where id = ${kit} for update`,
    );
    const changing = timed(() => client.patch(`/kits/${kit}`, { orderId: SECRET }));
    await until(legacy, WAITING);
    const held = holder.query(
      `select from kits where source = 'kit' and legacy_id = '${kit}' for update`,
    );
    const changed = await changing;
    expect(changed.status, changed.text).toBe(200);
    expect(await backlog()).toEqual([{ source: 'kit', key: kit, error: '40P01' }]);
    await held;
    await holder.query('rollback');
    await flagChanged();
    expect(await backlog()).toEqual([]);
    await exact();
  });

  it('while all of it goes on, and one refused row keeps no other key back', async () => {
    await run(`create function refuse() returns trigger language plpgsql as $f$ begin
        if new.order_id = '${SECRET}' then raise exception 'not %', new.order_id; end if; return new; end $f$;
      create trigger refuse before insert or update on kit for each row execute function refuse()`);
    await client.patch(`/kits/${kit}`, { orderId: SECRET });
    const holder = await legacy.client();
    await holder.query(`begin; select from kit where id = ${other} for update`);
    await client.patch(`/kits/${other}`, { orderId: 'held' });
    await holder.query('rollback');
    expect(await backlog()).toHaveLength(2);
    await flagChanged();
    expect(await backlog()).toEqual([{ source: 'kit', key: kit, error: 'P0001' }]);
    expect((await run(`select order_id as o from kit where id = ${other}`)).rows).toEqual([
      { o: 'held' },
    ]);
    await run('drop trigger refuse on kit');
    await flagChanged();
    expect(await backlog()).toEqual([]);
    await exact();
  });
});

describe('the schedule of flag-changed', () => {
  beforeEach(() => begin({ scheduleSeconds: 1 }));
  afterEach(end);

  it('makes the stores equal by itself once the cause is gone, while clients go on', async () => {
    await run(`alter table kit add constraint no_secrets check (order_id <> '${SECRET}')`);
    let writing = true;
    const writer = async (id: string, orderId: string) => {
      for (let n = 0; writing; n += 1) {
        const changed = await client.patch(`/kits/${id}`, { orderId, notes: `${n}` });
        expect(changed.status, changed.text).toBe(200);
        expect((await client.get(`/kits/${id}`)).text).toBe(changed.text);
      }
    };
    const writers = Promise.all([writer(kit, SECRET), writer(other, 'fine')]);
    try {
      await eventually(
        async () => metricTotal(rig.log, METRICS.BacklogStuck),
        (stuck) => stuck > 0,
      );
      await run('alter table kit drop constraint no_secrets');
    } finally {
      writing = false;
      await writers;
    }
    await eventually(backlog, (keys) => keys.length === 0);
    await exact();
    expect(JSON.stringify(rig.log)).not.toContain(SECRET);
    expect(await drain(legacy.db, binding, Date.now() + 60_000)).toMatchObject({ synced: 0 });
  });
});
