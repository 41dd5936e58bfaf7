import type { Session } from '../connection/database.ts';

/** What a legacy table refuses and `kits` would take, which could then never be mirrored. */
export interface LegacyLimits {
  readonly columns: readonly ColumnLimit[];
  /** Not those over generated columns or whole rows, which only the table itself can judge. */
  readonly checks: readonly CheckConstraint[];
}

export interface ColumnLimit {
  readonly name: string;
  /** It takes no null, its own or its domain's doing. */
  readonly required: boolean;
  /** The most characters; also a domain's, to which a cast would cut a text. Null: as many as there are. */
  readonly characters: number | null;
}

export interface CheckConstraint {
  /** SQL over the bare names of columns. */
  readonly expression: string;
  readonly columns: readonly string[];
}

const LIMITS = `
with recursive layer as (
  select a.attname::text as name, a.atttypid as type, a.atttypmod as modifier, a.attnotnull as required
    from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
  union all
  select l.name, t.typbasetype, t.typtypmod, t.typnotnull from layer l join pg_type t on t.oid = l.type where t.typtype = 'd'
), columns as (
  select name, bool_or(required) as required,
         min(modifier - 4) filter (where type in ('varchar'::regtype, 'bpchar'::regtype) and modifier > 0) as characters
    from layer group by name
), checks as (
  select pg_get_expr(c.conbin, c.conrelid) as expression, array_agg(a.attname::text) as columns
    from pg_constraint c cross join unnest(c.conkey) k(number)
    left join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.number and k.number > 0 and a.attgenerated = ''
   where c.conrelid = $1::oid and c.contype = 'c' and to_jsonb(c) ->> 'conenforced' is distinct from 'false'
   group by c.oid having bool_and(a.attname is not null)
)
select (select coalesce(json_agg(c order by c.name), '[]') from columns c) as columns,
       (select coalesce(json_agg(c order by c.expression), '[]') from checks c) as checks`;

/** Reads what a table refuses. */
export const readLimits = async (session: Session, oid: string): Promise<LegacyLimits> =>
  (await session.query<LegacyLimits>(LIMITS, [oid])).rows[0] ?? { columns: [], checks: [] };
