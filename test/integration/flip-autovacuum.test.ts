import { bindInstalled, flip, installKits, openDatabase } from '@unified-kits/data';
import { referenceMapping } from '@unified-kits/domain';
import { expect, it } from 'vitest';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { THROW_AWAY } from '../../infra/local/postgres/settings.ts';
import { startPostgres } from '../../infra/local/postgres/start.ts';
import { migrateTo, parity } from '../support/migration.ts';
import { until } from '../support/sessions.ts';

// A server of its own: how often autovacuum looks round is a setting of the server.
it('moves an autovacuum out of the way instead of waiting for it, and writers with it', async () => {
  const server = await startPostgres({
    ephemeral: true,
    settings: { ...THROW_AWAY, autovacuum_naptime: '1s' },
  });
  const db = openDatabase(server.url, 6);
  try {
    await db.pool.query(REFERENCE_SCHEMA);
    await db.pool.query(
      `insert into users values (md5('user')::uuid);
       insert into kit (kit_number, user_id, notes) select 'K' || n, md5('user')::uuid, repeat('x', 400) from generate_series(1, 5000) n`,
    );
    await installKits(db, referenceMapping, 'test');
    const binding = await db.transaction({}, (session) => bindInstalled(session, referenceMapping));
    await migrateTo(db, binding, 'mirrored');
    await parity(db, binding);
    // Slow enough that without help it would be at work for many seconds.
    await db.pool.query(
      'alter table kit set (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)',
    );
    await db.pool.query('update kit set notes = notes where id % 2 = 0');
    const working = `exists (select from pg_stat_progress_vacuum v join pg_stat_activity a using (pid)
      where v.datname = current_database() and v.relid = 'kit'::regclass and a.backend_type = 'autovacuum worker')`;
    await until(db, working);
    const began = Date.now();
    const result = await flip(db, binding, { to: 'dual-write', phase: 'test', actor: 'test' });
    expect(result).toMatchObject({ to: 'dual-write' });
    expect(result.attempts).toBeLessThan(10);
    expect(Date.now() - began).toBeLessThan(5_000);
  } finally {
    await db.close();
    await server.stop({ mode: 'immediate' });
  }
}, 60_000);
