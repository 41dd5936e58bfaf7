import { type FindingCode, MOST_KEYS, SOURCES, type Tally } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import type { Scanned, ScannedTable } from './scanned-table.ts';
import { kitNumberColumn } from './scanned-tables.ts';

/** Equal hashes looked into by one statement. */
const HASHES_PER_STATEMENT = 5_000;

/** Where the search stands: a bucket, and the last hash of it that was looked into. */
export interface DuplicateCursor {
  readonly bucket: number;
  readonly hash: string | null;
}

/**
 * The rows behind equal hashes, read again by key: a hash only suspects, the texts decide. `offset 0`
 * makes each of them one look-up in the id's index, whatever the planner believes about their number.
 */
const suspects = (tables: readonly ScannedTable[], exact: (table: ScannedTable) => string) => `
with suspects as materialized (
  select u.hash from migration.analysis_hash h cross join unnest(h.hashes) u(hash)
   where h.source = any ($1) and h.bucket = $2 and ($3::bigint is null or u.hash > $3)
   group by u.hash having count(*) > 1 order by u.hash limit $4
), members as materialized (
  select distinct h.source, u.hash, u.key
    from migration.analysis_hash h cross join unnest(h.hashes, h.keys) u(hash, key)
    join suspects on suspects.hash = u.hash
   where h.source = any ($1) and h.bucket = $2
), texts as materialized (
${tables
  .map(
    (table) => `  select m.source, m.hash, m.key, t.exact, t.folded
    from members m cross join lateral (
      select ${exact(table)} collate "C" as exact, ${table.unique} collate "C" as folded
        from ${table.relation} s where s.${quoteIdentifier(table.id.name)} = cast(m.key as ${table.idType})
      offset 0
    ) t
   where m.source = '${table.name}' and t.folded <> ''`,
  )
  .join('\n   union all\n')}
)`;

const tally = (name: string, key: string): string =>
  `count(*) filter (where ${name}) as ${name}, (array_agg(${key} order by hash, source, key) filter (where ${name}))[1:${MOST_KEYS}] as ${name}_keys`;
const BOTH = `source || ':' || key`;
const END = `(select max(hash)::text from suspects) as last, (select count(*) from suspects)::int as looked`;

const next = (cursor: DuplicateCursor, row: { looked: number; last: string | null }) =>
  row.looked < HASHES_PER_STATEMENT
    ? { bucket: cursor.bucket + 1, hash: null }
    : { bucket: cursor.bucket, hash: row.last };

const run = async (
  session: Session,
  text: string,
  names: readonly Scanned[],
  cursor: DuplicateCursor,
) => (await session.query(text, [names, cursor.bucket, cursor.hash, HASHES_PER_STATEMENT])).rows[0];

/** Looks for kit numbers held by several rows, in one bucket, and tells equal ones from similar ones. */
export const findDuplicateNumbers = async (
  session: Session,
  binding: Binding,
  tables: readonly ScannedTable[],
  cursor: DuplicateCursor,
): Promise<{ tallies: Tally[]; cursor: DuplicateCursor }> => {
  const kits = tables.filter(({ name }) => name !== 'practitioners');
  const exact = ({ name }: ScannedTable) =>
    name === 'practitioners'
      ? 'null'
      : `s.${quoteIdentifier(kitNumberColumn(binding.sources[name]).name)}::text`;
  const row = await run(
    session,
    `${suspects(kits, exact)}, judged as (
  select source, hash, key,
         source = 'kit' and count(*) filter (where source = 'kit') over equal > 1 as in_kit,
         source = 'practitioner_kits' and count(*) filter (where source = 'practitioner_kits') over equal > 1 as in_practitioner_kits,
         count(*) filter (where source = 'kit') over equal > 0 and count(*) filter (where source = 'practitioner_kits') over equal > 0 as across,
         min(exact) over alike <> max(exact) over alike as near
    from texts window equal as (partition by exact), alike as (partition by folded)
)
select ${tally('in_kit', 'key')}, ${tally('in_practitioner_kits', 'key')}, ${tally('across', BOTH)}, ${tally('near', BOTH)}, ${END} from judged`,
    SOURCES,
    cursor,
  );
  const found = (name: string, code: FindingCode, source: Tally['source']): Tally => ({
    code,
    source,
    count: Number(row[name]),
    keys: row[`${name}_keys`] ?? [],
  });
  return {
    tallies: [
      found('in_kit', 'DUPLICATE_IN_KIT', 'kit'),
      found('in_practitioner_kits', 'DUPLICATE_IN_PRACTITIONER_KITS', 'practitioner_kits'),
      found('across', 'DUPLICATE_ACROSS', 'both'),
      found('near', 'NEAR_DUPLICATE', 'both'),
    ],
    cursor: next(cursor, row),
  };
};

/** Looks for users that several practitioners share, in one bucket. */
export const findSharedUsers = async (
  session: Session,
  tables: readonly ScannedTable[],
  cursor: DuplicateCursor,
): Promise<{ tallies: Tally[]; cursor: DuplicateCursor }> => {
  const practitioners = tables.filter(({ name }) => name === 'practitioners');
  const row = await run(
    session,
    `${suspects(practitioners, ({ unique }) => unique)}, judged as (
  select source, hash, key, count(*) over (partition by exact) > 1 as shared from texts
)
select ${tally('shared', 'key')}, ${END} from judged`,
    ['practitioners'],
    cursor,
  );
  return {
    tallies: [
      {
        code: 'PRACTITIONERS_SHARE_USER',
        source: 'practitioners',
        column: practitioners[0]?.missing.column,
        count: Number(row.shared),
        keys: row.shared_keys ?? [],
      },
    ],
    cursor: next(cursor, row),
  };
};
