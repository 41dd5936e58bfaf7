import type { Session } from '../connection/database.ts';
import { type HealthFinding, orOk } from './finding.ts';
import { DEFAULT_HEALTH_LIMITS } from './read-health.ts';

const MEBIBYTE = 1024 * 1024;
const MUCH_WAL_BYTES = 1024 * MEBIBYTE;

const SLOTS = `
  select slot_name as name, active, wal_status as status,
         coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::float8 as bytes
    from pg_replication_slots order by slot_name`;

const REPLICAS = `
  select application_name as name, coalesce(extract(epoch from replay_lag), 0)::float8 as seconds
    from pg_stat_replication order by application_name`;

const kept = (bytes: number): string => `${Math.round(bytes / MEBIBYTE)} MiB of WAL`;

const judgeSlot = (slot: {
  readonly name: string;
  readonly active: boolean;
  readonly status: string | null;
  readonly bytes: number;
}): HealthFinding[] => {
  const { name, active, status, bytes } = slot;
  if (status === 'lost' || status === 'unreserved')
    return [
      {
        check: 'replication',
        level: 'fault',
        message: `replication slot "${name}" is ${status}: what reads it has lost its place, or is about to`,
        fix: 'build its reader anew, and raise max_slot_wal_keep_size before the copy',
      },
    ];
  if (!active)
    return [
      {
        check: 'replication',
        level: 'warning',
        message: `replication slot "${name}" has no reader and keeps ${kept(bytes)}: the copy will add to it until the disk is full`,
        fix: 'start its reader, or drop it with pg_drop_replication_slot',
      },
    ];
  return bytes > MUCH_WAL_BYTES
    ? [
        {
          check: 'replication',
          level: 'warning',
          message: `replication slot "${name}" is behind: it keeps ${kept(bytes)}`,
          fix: 'wait for its reader, or give it more resources, before the copy',
        },
      ]
    : [];
};

/** Replication slots that keep WAL, and replicas that lag; the copy waits for the latter. */
export const checkReplication = async (session: Session): Promise<readonly HealthFinding[]> => {
  const standby = (await session.query('select pg_is_in_recovery() as standby')).rows[0].standby;
  // There it is another server's to look at.
  if (standby) return [];
  const slots = (await session.query(SLOTS)).rows;
  const replicas = (await session.query(REPLICAS)).rows;
  const limit = DEFAULT_HEALTH_LIMITS.replicaLagSeconds;
  const findings = [
    ...slots.flatMap(judgeSlot),
    ...replicas
      .filter(({ seconds }) => seconds > limit)
      .map(
        ({ name, seconds }): HealthFinding => ({
          check: 'replication',
          level: 'warning',
          message: `replica "${name}" lags ${Math.round(seconds)} s: the copy waits while it is more than ${limit} s`,
          fix: 'wait until it has caught up, or find out what holds it up',
        }),
      ),
  ];
  return orOk('replication', findings, `${slots.length} slots, ${replicas.length} replicas`);
};
