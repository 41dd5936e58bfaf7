import { type Binding, type Database, quoteIdentifier } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';

/**
 * What the legacy tables held before anything began, as one hash per row, in a schema of this demo's
 * own: neither the organisation's schema nor `migration` knows of it.
 */
const SCHEMA = 'kits_demo';
const TABLE = `${SCHEMA}.original`;

/** By source: columns that the demo's writers change, which a row's second hash leaves out. */
export type WrittenColumns = Readonly<Record<Source, readonly string[]>>;

const hashes = (binding: Binding, source: Source, written: readonly string[]) => {
  const { catalog, id } = binding.sources[source];
  const rest = catalog.columns.filter(({ name }) => !written.includes(name));
  return {
    id: `s.${quoteIdentifier(id.name)}::text`,
    whole: 'md5(s::text)',
    rest: `md5(row(${rest.map(({ name }) => `s.${quoteIdentifier(name)}`).join(', ')})::text)`,
  };
};

/** Whether the original has been taken. */
export const hasOriginal = async (db: Database): Promise<boolean> => {
  const [row] = await db.query<{ there: boolean }>(`select to_regclass($1) is not null as there`, [
    TABLE,
  ]);
  return row?.there === true;
};

/** Takes the original, in place of an earlier one. One bounded pass over each table. */
export const takeOriginal = (
  db: Database,
  binding: Binding,
  written: WrittenColumns,
): Promise<void> =>
  db.transaction({ statementTimeoutMs: 600_000, isolation: 'repeatable read' }, async (session) => {
    await session.query(`create schema if not exists ${SCHEMA}`);
    await session.query(`drop table if exists ${TABLE}`);
    await session.query(
      `create unlogged table ${TABLE} (source text, legacy_id text, whole text, rest text)`,
    );
    for (const source of SOURCES) {
      const { id, whole, rest } = hashes(binding, source, written[source]);
      await session.query(
        `insert into ${TABLE} select $1, ${id}, ${whole}, ${rest} from ${binding.sources[source].relation} s`,
        [source],
      );
    }
    // Filled without WAL and logged once: a crash would empty a table that stayed unlogged.
    await session.query(`alter table ${TABLE} set logged`);
  });

export interface OriginalComparison {
  readonly compared: number;
  /** Rows that nobody of ours wrote and that differ, are gone, or are new. */
  readonly differing: number;
  /** Up to 20 of them, as `source:legacy id`. */
  readonly keys: readonly string[];
}

/**
 * Compares the legacy tables with the original: rows that no writer touched must be equal in whole, the
 * touched ones in every column that the writers do not write.
 *
 * @param touched legacy ids by source that the writers changed, inserted or deleted
 */
export const compareOriginal = async (
  db: Database,
  binding: Binding,
  written: WrittenColumns,
  touched: Readonly<Record<Source, readonly string[]>>,
): Promise<OriginalComparison> => {
  let compared = 0;
  let differing = 0;
  const keys: string[] = [];
  for (const source of SOURCES) {
    const { id, whole, rest } = hashes(binding, source, written[source]);
    const [row] = await db.query<{ compared: number; differing: number; keys: string[] | null }>(
      `with touched as (select unnest($2::text[]) as legacy_id),
            now as (select ${id} as legacy_id, ${whole} as whole, ${rest} as rest from ${binding.sources[source].relation} s),
            pairs as (
              select coalesce(o.legacy_id, n.legacy_id) as legacy_id, t.legacy_id is not null as touched,
                     o.whole is not distinct from n.whole as same, o.rest = n.rest as same_rest,
                     o.legacy_id is null or n.legacy_id is null as alone
                from (select * from ${TABLE} where source = $1) o
                full join now n on n.legacy_id = o.legacy_id
                left join touched t on t.legacy_id = coalesce(o.legacy_id, n.legacy_id)),
            wrong as (select legacy_id from pairs
                       where case when touched then not alone and not same_rest else not same end)
       select (select count(*)::int from pairs) as compared, (select count(*)::int from wrong) as differing,
              (select array_agg(legacy_id) from (select legacy_id from wrong limit 20) first_wrong) as keys`,
      [source, touched[source]],
      { statementTimeoutMs: 600_000, readOnly: true, isolation: 'repeatable read' },
    );
    compared += row?.compared ?? 0;
    differing += row?.differing ?? 0;
    keys.push(...(row?.keys ?? []).map((key) => `${source}:${key}`));
  }
  return { compared, differing, keys: keys.slice(0, 20) };
};

/** Removes what this demo put into the database. */
export const dropOriginal = async (db: Database): Promise<void> => {
  await db.query(`drop schema if exists ${SCHEMA} cascade`);
};
