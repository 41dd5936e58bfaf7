import type { Kit, Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import type { ServiceBinding } from './bind-service.ts';

/** A bigint of a seed, for what takes one. */
const SEED = '(hashtextextended($2, 0))';

/**
 * At most `rows` kits of a legacy table, picked from all over it. It reads about as many pages as rows are
 * wanted, however large the table is; where pages hold few rows it finds fewer. The same seed picks the same
 * kits as long as the table does not change.
 *
 * @param session one that may read the legacy tables
 */
export const sampleKits = async (
  session: Session,
  { binding, stores }: ServiceBinding,
  source: Source,
  { rows, seed }: { readonly rows: number; readonly seed: string },
): Promise<readonly Kit[]> => {
  const { catalog, id, relation } = binding.sources[source];
  const size = await session.query<{ pages: number }>(
    `select pg_relation_size($1::oid)::float8 / current_setting('block_size')::int as pages`,
    [catalog.oid],
  );
  const pages = Math.max(1, size.rows[0]?.pages ?? 1);
  const found = await session.query<{ key: string }>(
    `select key from (
       select s.${quoteIdentifier(id.name)}::text as key
         from ${relation} s tablesample system (least(100, 100 * $1::float8 / $3::float8)) repeatable (${SEED})
     ) sampled order by hashtextextended(key, ${SEED}) limit $1`,
    [rows, seed, pages],
  );
  return stores.legacy.findMany(
    session,
    source,
    found.rows.map(({ key }) => key),
  );
};
