import type { BoundSource } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import type { Projection } from '../projection/projection.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

/** What is said of a value that the database refuses, whichever table it was. */
export const REFUSED_VALUE = 'the database refuses this value';

/** What a legacy table refuses and `kits` would take, which could then never be mirrored. */
export interface LegacyLimits {
  /** The most characters of a text, by column; also a domain's, to which a cast would cut it. */
  readonly characters: ReadonlyMap<string, number>;
  /** Columns that take no null, their own or their domain's doing. */
  readonly required: ReadonlySet<string>;
  readonly checks: readonly Check[];
}

interface Check {
  /** SQL over the bare names of columns. */
  readonly expression: string;
  readonly columns: readonly string[];
}

const COLUMNS = `
with recursive layer as (
  select a.attname as name, a.atttypid as type, a.atttypmod as modifier, a.attnotnull as required
    from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
  union all
  select l.name, t.typbasetype, t.typtypmod, t.typnotnull from layer l join pg_type t on t.oid = l.type where t.typtype = 'd'
)
select name::text, bool_or(required) as required,
       min(modifier - 4) filter (where type in ('varchar'::regtype, 'bpchar'::regtype) and modifier > 0) as characters
  from layer group by name`;

/** Not those over generated columns or whole rows, which only the table itself can judge. */
const CHECKS = `
select pg_get_expr(c.conbin, c.conrelid) as expression,
       (select array_agg(a.attname::text) from pg_attribute a where a.attrelid = c.conrelid and a.attnum = any (c.conkey)) as columns
  from pg_constraint c
 where c.conrelid = $1::oid and c.contype = 'c' and to_jsonb(c) ->> 'conenforced' is distinct from 'false'
   and not exists (select from unnest(c.conkey) k(number)
                     left join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.number and k.number > 0
                    where a.attname is null or a.attgenerated <> '')
 order by c.conname`;

/** Reads what a legacy table refuses. */
export const readLimits = async (
  session: Session,
  { catalog }: BoundSource,
): Promise<LegacyLimits> => {
  const columns = (await session.query(COLUMNS, [catalog.oid])).rows;
  const checks = (await session.query<Check>(CHECKS, [catalog.oid])).rows;
  return {
    characters: new Map(
      columns.flatMap(({ name, characters }) => (characters === null ? [] : [[name, characters]])),
    ),
    required: new Set(columns.flatMap(({ name, required }) => (required ? [name] : []))),
    checks: checks.filter((check) => check.columns !== null),
  };
};

/** SQL of whether a row of `kits`, alias `k`, would be refused by a CHECK of its legacy table. */
export const brokenCheck = ({ backward, source }: Projection, { checks }: LegacyLimits): string => {
  if (checks.length === 0) return 'false';
  const judged = new Set(checks.flatMap(({ columns }) => columns));
  const types = new Map(source.catalog.columns.map(({ name, type }) => [name, type]));
  const row = backward
    .filter(({ column }) => judged.has(column))
    .map(
      ({ column, expression }) =>
        `cast(${expression} as ${types.get(column)}) as ${quoteIdentifier(column)}`,
    );
  return `(select ${checks.map(({ expression }) => `(${expression}) is false`).join(' or ')} from (select ${row.join(', ')}) legacy_row)`;
};
