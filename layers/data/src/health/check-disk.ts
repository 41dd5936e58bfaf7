import { estimateCopy } from '../analysis/estimate.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { HealthFinding } from './finding.ts';

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1e6).toLocaleString('en')} MB`;

/**
 * How much disk the copy will take, by the planner's count of rows. How much is free no SQL can tell, so this
 * asks its reader to look.
 */
export const checkDisk = async (
  session: Session,
  binding: Binding,
): Promise<readonly HealthFinding[]> => {
  const relations = Object.values(binding.sources).map(({ relation }) => relation);
  const { rows } = await session.query(
    `select coalesce(sum(greatest(reltuples, 0)), 0)::float8 as rows, coalesce(sum(pg_table_size(oid)), 0)::float8 as bytes,
            pg_database_size(current_database())::float8 as database
       from pg_class where oid = any ($1::regclass[])`,
    [relations],
  );
  const { diskBytes, walBytes } = estimateCopy(rows[0].rows, rows[0].bytes);
  return [
    {
      check: 'disk',
      level: 'note',
      message: `the database has ${megabytes(rows[0].database)}; the copy takes about ${megabytes(diskBytes)} more, and writes about ${megabytes(walBytes)} of WAL. SQL cannot see how much is free`,
      fix: 'compare with FreeStorageSpace of the RDS instance, or df of the host',
    },
  ];
};
