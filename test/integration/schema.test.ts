import {
  type Binding,
  bindInstalled,
  deleteBatch,
  drain,
  endBatch,
  flip,
  installKits,
  installTracking,
  uninstallKits,
} from '@unified-kits/data';
import { parseMapping, referenceMapping } from '@unified-kits/domain';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { installed, type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';
import { begin, migrateTo } from '../support/migration.ts';

/** Everything in the database that is not in a schema that stays, with its definition. */
const CATALOG = `
  select 'relation ' || c.oid::regclass::text || ' ' || c.relkind::text || ' ' || c.relrowsecurity::text as what from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'migration', 'kits_service')
  union all select 'column ' || attrelid::regclass::text || ' ' || attname || ' ' || format_type(atttypid, atttypmod) from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = c.relnamespace where attnum > 0 and not attisdropped and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'migration', 'kits_service')
  union all select 'trigger ' || tgrelid::regclass::text || ' ' || tgname || ' ' || tgenabled::text from pg_trigger where not tgisinternal
  union all select 'constraint ' || conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) from pg_constraint where conrelid <> 0 and connamespace = 'public'::regnamespace
  union all select 'function ' || p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname not in ('pg_catalog', 'information_schema')
  union all select 'writes on ' || table_name || ' ' || privilege_type from information_schema.role_table_grants where grantee = 'kits_owner' and table_schema = 'public' and privilege_type <> 'SELECT' and table_name in ('kit', 'practitioner_kits', 'users', 'practitioners')
  order by 1`;

describe('the schema', () => {
  let legacy: LegacyDatabase;
  const catalog = async () => (await legacy.pool.query(CATALOG)).rows.map(({ what }) => what);
  const flipTo = (binding: Binding, to: 'legacy' | 'copying', batchId?: string) =>
    flip(legacy.db, binding, { to, batchId, phase: 'test', actor: 'test' });
  const ended = (batchId: string) =>
    legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'rolled-back', 'test', 'test'),
    );
  beforeEach(async () => {
    legacy = await legacyDatabase(10);
  });
  afterEach(() => legacy.drop());

  it('is made once, and making it again changes nothing', async () => {
    expect(await installKits(legacy.db, legacy.mapping, 'test')).toBe('created');
    const before = await catalog();
    expect(await installKits(legacy.db, legacy.mapping, 'test')).toBe('unchanged');
    expect(await catalog()).toEqual(before);
    const { rows } = await legacy.pool.query('select stage from migration.stage');
    expect(rows).toEqual([{ stage: 'legacy' }]);
  });

  it('is made once also by two installers at the same moment', async () => {
    const outcomes = await Promise.all(
      [1, 2, 3].map(() => installKits(legacy.db, legacy.mapping, 'test')),
    );
    expect(outcomes.sort()).toEqual(['created', 'unchanged', 'unchanged']);
  });

  it('is found to be there without waiting for the service, or making it wait', async () => {
    await installTracking(legacy.db);
    const working = await legacy.client();
    await working.query('begin');
    for (const table of ['idempotency_key', 'handled_job', 'status_time', 'kit_event', 'work_mark'])
      await working.query(`lock table kits_service.${table} in row exclusive mode`);
    await working.query('lock table migration.pending_sync in row exclusive mode');
    await installTracking(legacy.db);
    await working.query('rollback');
  });

  it('is made up for what a newer release adds to it', async () => {
    await installTracking(legacy.db);
    await legacy.pool.query(
      `drop table kits_service.work_mark; update migration.installed set digest = 'of an older release'`,
    );
    await installTracking(legacy.db);
    const { rows } = await legacy.pool.query(
      `select to_regclass('kits_service.work_mark') is not null as there`,
    );
    expect(rows).toEqual([{ there: true }]);
  });

  it('switches no read and no write', async () => {
    const triggers = async () =>
      (await catalog()).filter((what: string) =>
        /^trigger (kit|practitioner_kits|practitioners) /.test(what),
      );
    const before = await triggers();
    await installKits(legacy.db, legacy.mapping, 'test');
    expect(await triggers()).toEqual(before);
  });

  it('drops only what it made', async () => {
    await legacy.pool.query(
      'create table kits_of_somebody_else (id int); create function touch() returns trigger language plpgsql as $f$ begin return new; end $f$; create trigger uk_not_ours before update on kit for each row execute function touch()',
    );
    const before = await catalog();
    const binding = await installed(legacy);
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    await flipTo(binding, 'legacy');
    await deleteBatch(legacy.db, binding, batchId, Date.now() + 60_000);
    await ended(batchId);
    expect(await uninstallKits(legacy.db, legacy.mapping, 'test')).toBe('dropped');
    expect(await catalog()).toEqual(before);
    expect(await uninstallKits(legacy.db, legacy.mapping, 'test')).toBe('absent');
    expect(await installKits(legacy.db, legacy.mapping, 'test')).toBe('created');
  });

  it('is not dropped while a batch is active or kits holds rows', async () => {
    const binding = await installed(legacy);
    const batchId = await migrateTo(legacy.db, binding, 'mirrored');
    const uninstall = () => uninstallKits(legacy.db, legacy.mapping, 'test');
    await expect(uninstall()).rejects.toMatchObject({
      name: 'SchemaInUse',
      message: expect.stringContaining(batchId),
    });
    await flipTo(binding, 'legacy');
    await ended(batchId);
    await expect(uninstall()).rejects.toMatchObject({
      name: 'SchemaInUse',
      message: expect.stringContaining('holds rows'),
    });
    expect((await legacy.pool.query('select count(*)::int as n from kits')).rows[0].n).toBe(20);
  });

  it('is not dropped in any stage in which its triggers do something', async () => {
    const binding = await installed(legacy);
    const batchId = await migrateTo(legacy.db, binding, 'closed');
    await legacy.db.transaction({ asEngine: true }, (session) =>
      endBatch(session, batchId, 'closed', 'test', 'test'),
    );
    await expect(uninstallKits(legacy.db, legacy.mapping, 'test')).rejects.toMatchObject({
      name: 'SchemaInUse',
    });
    // Even with kits emptied by its users: legacy would be writable again, and stale.
    await legacy.pool.query('delete from kits');
    await expect(uninstallKits(legacy.db, legacy.mapping, 'test')).rejects.toMatchObject({
      name: 'SchemaInUse',
      message: expect.stringContaining('closed'),
    });
  });

  it('refuses another mapping while a batch is active, and takes it afterwards', async () => {
    const binding = await installed(legacy);
    const other = parseMapping({ ...referenceMapping, name: 'other' });
    const batchId = await begin(legacy.db, binding);
    await expect(installKits(legacy.db, other, 'test')).rejects.toMatchObject({
      name: 'SchemaVersionMismatch',
      message: expect.stringContaining(batchId),
    });
    await expect(
      legacy.db.transaction({}, (session) => bindInstalled(session, other)),
    ).rejects.toMatchObject({ name: 'SchemaVersionMismatch' });
    await flipTo(binding, 'legacy');
    await ended(batchId);
    expect(await installKits(legacy.db, other, 'test')).toBe('updated');
  });

  it('refuses a second batch while one is active, and names it', async () => {
    const binding = await installed(legacy);
    const batchId = await begin(legacy.db, binding);
    await expect(begin(legacy.db, binding)).rejects.toMatchObject({
      name: 'BatchActive',
      message: expect.stringContaining(batchId),
    });
  });

  it('refuses a table called kits that it did not make', async () => {
    await legacy.pool.query('create table kits (id int)');
    await expect(installKits(legacy.db, legacy.mapping, 'test')).rejects.toMatchObject({
      name: 'SchemaVersionMismatch',
      message: expect.stringContaining('was not made by this software'),
    });
    expect((await legacy.pool.query('select count(*)::int as n from kits')).rows[0].n).toBe(0);
  });

  it('drains nothing in stage legacy', async () => {
    const binding = await installed(legacy);
    expect(await drain(legacy.db, binding, Date.now() + 1_000)).toEqual({
      synced: 0,
      stuck: 0,
      done: true,
    });
  });
});
