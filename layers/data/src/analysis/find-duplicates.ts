import {
  type FindingCode,
  type FindingSource,
  MOST_KEYS,
  SOURCES,
  type Tally,
} from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';
import type { Scanned, ScannedTable } from './scanned-table.ts';
import { kitNumberColumn } from './scanned-tables.ts';

/** Equal hashes looked into by one statement. */
const HASHES_PER_STATEMENT = 5_000;

/** Where a search stands: a bucket, and the last hash of it that was looked into. */
export interface DuplicateCursor {
  readonly bucket: number;
  readonly hash: string | null;
}

interface Judgement {
  readonly code: FindingCode;
  readonly source: FindingSource;
  readonly column?: string | undefined;
  /** Whether a row is part of it: SQL over a row of texts and the windows `equal` and `alike`. */
  readonly holds: string;
  readonly key: string;
}

interface Search {
  readonly names: readonly Scanned[];
  readonly tables: readonly ScannedTable[];
  /** SQL of the text in which rows are equal; the table's own is that in which they are alike. */
  readonly exact: (table: ScannedTable) => string;
  readonly judgements: readonly Judgement[];
}

/**
 * The next hashes that several rows have; that of the empty text says nothing. `unnest` in the select
 * list streams, where in `from` it would first be written to a tuple store.
 */
const SUSPECTS = `
select coalesce(array_agg(hash::text order by hash), '{}') as hashes from (
  select hash from (
    select unnest(h.hashes) as hash from migration.analysis_hash h where h.source = any ($1) and h.bucket = $2
  ) u
   where ($3::bigint is null or hash > $3) and hash <> hashtextextended('' collate "C", 0)
   group by hash having count(*) > 1 order by hash limit $4) suspects`;

/**
 * The rows behind equal hashes, read again by key: a hash only suspects, the texts decide. `offset 0`
 * makes each of them one look-up in the id's index, whatever the planner believes about their number.
 */
const judge = ({ tables, exact, judgements }: Search): string => `
with members as materialized (
  select distinct h.source, u.hash, u.key
    from migration.analysis_hash h cross join unnest(h.hashes, h.keys) u(hash, key)
   where h.source = any ($1) and h.bucket = $2 and u.hash = any ($3::bigint[])
), texts as materialized (
${tables
  .map(
    (table) => `  select m.source, m.hash, m.key, t.exact, t.folded
    from members m cross join lateral (
      select ${exact(table)} collate "C" as exact, ${table.unique} collate "C" as folded
        from ${table.relation} s where s.${quoteIdentifier(table.id.name)} = cast(m.key as ${table.idType})
      offset 0
    ) t
   where m.source = '${table.name}'`,
  )
  .join('\n   union all\n')}
), judged as (
  select source, hash, key, ${judgements.map(({ holds }, index) => `${holds} as j${index}`).join(', ')}
    from texts window equal as (partition by exact), alike as (partition by folded)
)
select ${judgements
  .map(
    ({ key }, index) =>
      `count(*) filter (where j${index})::int as n${index}, (array_agg(${key} order by hash, source, key) filter (where j${index}))[1:${MOST_KEYS}] as k${index}`,
  )
  .join(', ')} from judged`;

const search = async (
  session: Session,
  what: Search,
  { bucket, hash }: DuplicateCursor,
): Promise<{ tallies: Tally[]; cursor: DuplicateCursor }> => {
  const suspected = await session.query(SUSPECTS, [what.names, bucket, hash, HASHES_PER_STATEMENT]);
  const hashes: readonly string[] = suspected.rows[0].hashes;
  const last = hashes.at(-1);
  const cursor =
    last === undefined || hashes.length < HASHES_PER_STATEMENT
      ? { bucket: bucket + 1, hash: null }
      : { bucket, hash: last };
  // Most buckets of most databases end here, and the keys stay unread.
  if (last === undefined) return { tallies: [], cursor };
  const { rows } = await session.query(judge(what), [what.names, bucket, hashes]);
  return {
    tallies: what.judgements.map(({ code, source, column }, index) => ({
      code,
      source,
      column,
      count: rows[0][`n${index}`],
      keys: rows[0][`k${index}`] ?? [],
    })),
    cursor,
  };
};

const ofSource = (source: string) => `count(*) filter (where source = '${source}') over equal`;
const BOTH_KEY = `source || ':' || key`;

const NUMBER_JUDGEMENTS: readonly Judgement[] = [
  {
    code: 'DUPLICATE_IN_KIT',
    source: 'kit',
    holds: `source = 'kit' and ${ofSource('kit')} > 1`,
    key: 'key',
  },
  {
    code: 'DUPLICATE_IN_PRACTITIONER_KITS',
    source: 'practitioner_kits',
    holds: `source = 'practitioner_kits' and ${ofSource('practitioner_kits')} > 1`,
    key: 'key',
  },
  {
    code: 'DUPLICATE_ACROSS',
    source: 'both',
    holds: `${ofSource('kit')} > 0 and ${ofSource('practitioner_kits')} > 0`,
    key: BOTH_KEY,
  },
  {
    code: 'NEAR_DUPLICATE',
    source: 'both',
    holds: 'min(exact) over alike <> max(exact) over alike',
    key: BOTH_KEY,
  },
];

/** Looks for kit numbers held by several rows, in one bucket, and tells equal ones from similar ones. */
export const findDuplicateNumbers = (
  session: Session,
  { sources }: Binding,
  tables: readonly ScannedTable[],
  cursor: DuplicateCursor,
) =>
  search(
    session,
    {
      names: SOURCES,
      tables: tables.filter(({ name }) => name !== 'practitioners'),
      exact: ({ name, unique }) =>
        name === 'practitioners'
          ? unique
          : `s.${quoteIdentifier(kitNumberColumn(sources[name]).name)}::text`,
      judgements: NUMBER_JUDGEMENTS,
    },
    cursor,
  );

/** Looks for users that several practitioners share, in one bucket. */
export const findSharedUsers = (
  session: Session,
  tables: readonly ScannedTable[],
  cursor: DuplicateCursor,
) => {
  const practitioners = tables.filter(({ name }) => name === 'practitioners');
  return search(
    session,
    {
      names: ['practitioners'],
      tables: practitioners,
      exact: ({ unique }) => unique,
      judgements: [
        {
          code: 'PRACTITIONERS_SHARE_USER',
          source: 'practitioners',
          column: practitioners[0]?.missing.column,
          holds: 'count(*) over equal > 1',
          key: 'key',
        },
      ],
    },
    cursor,
  );
};
