import type { Session } from '../connection/database.ts';

/** Limits beyond which the copy waits. */
export interface HealthLimits {
  readonly replicaLagSeconds: number;
  readonly transactionSeconds: number;
  readonly walBytesPerSecond: number;
}

export const DEFAULT_HEALTH_LIMITS: HealthLimits = {
  replicaLagSeconds: 30,
  // A transaction this old keeps dead rows from being removed while the copy makes more.
  transactionSeconds: 900,
  walBytesPerSecond: 200 * 1024 * 1024,
};

interface Reading {
  readonly replicaLagSeconds: number;
  readonly transactionSeconds: number;
  readonly transactionPid: number | null;
  readonly wal: string;
  readonly at: number;
}

const READ = `
  select coalesce((select max(extract(epoch from replay_lag)) from pg_stat_replication), 0)::float8 as "replicaLagSeconds",
         coalesce(oldest.seconds, 0)::float8 as "transactionSeconds", oldest.pid as "transactionPid",
         (case when pg_is_in_recovery() then '0/0' else pg_current_wal_lsn() end)::text as wal,
         extract(epoch from clock_timestamp())::float8 as at
    from (values (1)) one
    left join lateral (
      select pid, extract(epoch from clock_timestamp() - xact_start) as seconds from pg_stat_activity
       where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database()
       order by xact_start limit 1) oldest on true`;

/**
 * A watch on the database's health. Each call says why work should wait now, or undefined. The WAL rate is
 * that between two calls, so the first knows none. Roles without `pg_monitor` see their own sessions only.
 */
export const watchHealth = (limits: HealthLimits = DEFAULT_HEALTH_LIMITS) => {
  let last: Reading | undefined;
  return async (session: Session): Promise<string | undefined> => {
    const now: Reading = (await session.query(READ)).rows[0];
    const before = last;
    last = now;
    if (now.replicaLagSeconds > limits.replicaLagSeconds)
      return `a replica lags ${Math.round(now.replicaLagSeconds)} s (limit ${limits.replicaLagSeconds} s)`;
    if (now.transactionSeconds > limits.transactionSeconds)
      return `the transaction of pid ${now.transactionPid} is ${Math.round(now.transactionSeconds)} s old (limit ${limits.transactionSeconds} s)`;
    if (before === undefined || now.at - before.at < 0.2) return undefined;
    const { rows } = await session.query('select pg_wal_lsn_diff($1, $2)::float8 as bytes', [
      now.wal,
      before.wal,
    ]);
    const rate = rows[0].bytes / (now.at - before.at);
    return rate > limits.walBytesPerSecond
      ? `WAL is written at ${Math.round(rate / 1048576)} MiB/s (limit ${Math.round(limits.walBytesPerSecond / 1048576)} MiB/s)`
      : undefined;
  };
};
