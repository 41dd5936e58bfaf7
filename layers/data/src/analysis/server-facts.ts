import type { Session } from '../connection/database.ts';

/** Where the server tells; a figure that it does not tell is null, never a guess. */
export interface ServerFacts {
  readonly version: string;
  readonly walLevel: string;
  readonly maxWalSizeBytes: number;
  readonly databaseBytes: number;
  /** SQL knows no free disk space: watch the storage metric of the host or the managed service. */
  readonly freeDiskBytes: null;
  readonly replicationSlots: readonly {
    readonly name: string;
    readonly active: boolean;
    /** WAL kept for it, in bytes. */
    readonly lagBytes: number | null;
  }[];
}

/** Reads what the server says about itself; needs no privilege. */
export const readServerFacts = async (session: Session): Promise<ServerFacts> => {
  const { rows } = await session.query(
    `select current_setting('server_version') as version, current_setting('wal_level') as "walLevel",
            pg_size_bytes(current_setting('max_wal_size'))::float8 as "maxWalSizeBytes",
            pg_database_size(current_database())::float8 as "databaseBytes",
            coalesce((select json_agg(json_build_object('name', slot_name, 'active', active,
                        'lagBytes', pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) order by slot_name)
                        from pg_replication_slots), '[]') as "replicationSlots"`,
  );
  return { ...rows[0], freeDiskBytes: null };
};
