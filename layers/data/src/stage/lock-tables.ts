import { COPY_AGAINST_DRAIN } from '../backlog/drain-lock.ts';
import type { Session } from '../connection/database.ts';

/** A session that stands in a flip's way. */
export interface Blocker {
  readonly pid: number | null;
  readonly relation: string;
  readonly mode: string;
  readonly user: string | null;
  readonly application: string | null;
  readonly state: string | null;
  /** Seconds since its transaction began. */
  readonly transactionSeconds: number | null;
}

/**
 * Takes the flip's locks in the order given: the authoritative store first, because that is the order
 * in which a mirrored write takes its own. Waits for writes in flight and holds new ones; reads go on.
 */
export const lockTables = async (session: Session, relations: readonly string[]): Promise<void> => {
  await session.query(`lock table ${relations.join(', ')} in share row exclusive mode`);
};

/**
 * Who holds, on these tables, a lock that SHARE ROW EXCLUSIVE waits for, and who is copying or draining,
 * which a flip waits for too. Prepared transactions have no pid. No query text: it may carry a person's data.
 */
export const readBlockers = async (
  session: Session,
  relations: readonly string[],
): Promise<Blocker[]> => {
  const { rows } = await session.query(
    `select l.pid, case l.locktype when 'relation' then l.relation::regclass::text else 'the lock of a chunk or a drain' end as relation, l.mode, a.usename::text as user,
            a.application_name as application, a.state,
            round(extract(epoch from clock_timestamp() - a.xact_start))::int as "transactionSeconds"
       from pg_locks l
       left join pg_stat_activity a on a.pid = l.pid
      where l.granted
        and (l.locktype = 'relation' and l.relation = any ($1::regclass[]) and l.mode not in ('AccessShareLock', 'RowShareLock')
             or l.locktype = 'advisory' and l.objsubid = 1 and (l.classid::bigint << 32) + l.objid::bigint = ${COPY_AGAINST_DRAIN})
        and l.database = (select oid from pg_database where datname = current_database())
        and l.pid is distinct from pg_backend_pid()
      order by a.xact_start nulls first`,
    [relations],
  );
  return rows;
};

export const describeBlocker = ({
  pid,
  relation,
  mode,
  user,
  application,
  state,
  transactionSeconds,
}: Blocker): string =>
  pid === null
    ? `a prepared transaction holds ${mode} on ${relation}`
    : `pid ${pid} (${user ?? 'unknown user'}, ${application || 'no application name'}, ${state ?? 'state unknown'}, transaction open ${transactionSeconds ?? '?'} s) holds ${mode} on ${relation}`;
