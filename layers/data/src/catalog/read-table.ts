import type { Session } from '../connection/database.ts';
import { type LegacyLimits, readLimits } from './legacy-limits.ts';

/** A column as the catalog describes it. Type names are schema-qualified outside pg_catalog. */
export interface CatalogColumn {
  readonly name: string;
  /** With its modifier: `character varying(32)`. */
  readonly type: string;
  /** Without modifier, domains resolved: `character varying`. */
  readonly baseType: string;
  /** pg_type.typtype of the base type: b, e (enum), c, r ... */
  readonly typeKind: string;
  /** pg_type.typcategory of the base type: A array, S string, N numeric ... */
  readonly typeCategory: string;
  readonly isDomain: boolean;
  readonly notNull: boolean;
  /** The column's own, or its domain's. */
  readonly defaultExpression: string | null;
  /** '' none, 'a' generated always as identity, 'd' by default. */
  readonly identity: string;
  readonly generated: boolean;
  /** The qualified, quoted collation where it is not the type's default. */
  readonly collation: string | null;
  readonly deterministicCollation: boolean;
  readonly enumLabels: readonly string[] | null;
  /** A unique index that `on conflict (column)` can use: whole, immediate, valid, this column alone. */
  readonly uniqueKey: boolean;
}

export interface CatalogTrigger {
  readonly name: string;
  /** pg_trigger.tgenabled: O, D, R or A. */
  readonly enabled: string;
  readonly definition: string;
  readonly ours: boolean;
}

export interface CatalogForeignKey {
  readonly name: string;
  /** The referencing table, qualified and quoted. */
  readonly table: string;
  readonly definition: string;
}

export interface CatalogTable {
  readonly schema: string;
  readonly table: string;
  readonly oid: string;
  /** pg_class.relkind: r ordinary, p partitioned, v view ... */
  readonly kind: string;
  readonly persistence: string;
  readonly hasChildren: boolean;
  readonly hasParents: boolean;
  readonly rowSecurity: boolean;
  readonly forceRowSecurity: boolean;
  readonly estimatedRows: number;
  readonly bytes: number;
  readonly ownedByUs: boolean;
  readonly columns: readonly CatalogColumn[];
  readonly triggers: readonly CatalogTrigger[];
  readonly referencedBy: readonly CatalogForeignKey[];
  /** Foreign keys of this table that a deletion elsewhere would cascade through. */
  readonly cascadingReferences: readonly CatalogForeignKey[];
  readonly rules: readonly string[];
  readonly limits: LegacyLimits;
}

const TABLE = `
  select c.oid::text as oid, c.relkind::text as kind, c.relpersistence::text as persistence,
         exists (select from pg_inherits i where i.inhparent = c.oid) as "hasChildren",
         exists (select from pg_inherits i where i.inhrelid = c.oid) as "hasParents",
         c.relrowsecurity as "rowSecurity", c.relforcerowsecurity as "forceRowSecurity",
         greatest(c.reltuples, 0)::float8 as "estimatedRows",
         pg_total_relation_size(c.oid)::float8 as bytes,
         pg_has_role(c.relowner, 'USAGE') as "ownedByUs"
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
   where n.nspname = $1 and c.relname = $2`;

const COLUMNS = `
  with recursive base as (
    select a.attnum, a.atttypid as typid, 0 as depth from pg_attribute a
     where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
    union all
    select b.attnum, t.typbasetype, b.depth + 1 from base b join pg_type t on t.oid = b.typid where t.typtype = 'd'
  ), resolved as (
    select distinct on (attnum) attnum, typid, depth from base order by attnum, depth desc
  )
  select a.attname as name,
         format_type(a.atttypid, a.atttypmod) as type,
         format_type(r.typid, null) as "baseType",
         t.typtype::text as "typeKind", t.typcategory::text as "typeCategory", r.depth > 0 as "isDomain",
         a.attnotnull as "notNull",
         case when a.attgenerated = '' and a.attidentity = '' then coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(own.typdefaultbin, 0)) end as "defaultExpression",
         a.attidentity::text as identity, a.attgenerated <> '' as generated,
         case when a.attcollation <> 0 and a.attcollation <> t.typcollation
              then quote_ident(cn.nspname) || '.' || quote_ident(co.collname) end as collation,
         coalesce(co.collisdeterministic, true) as "deterministicCollation",
         (select array_agg(e.enumlabel::text order by e.enumsortorder) from pg_enum e where e.enumtypid = r.typid) as "enumLabels",
         exists (select from pg_index i
                  where i.indrelid = a.attrelid and i.indisunique and i.indisvalid and i.indimmediate
                    and i.indpred is null and i.indexprs is null and i.indnkeyatts = 1
                    and i.indkey[0] = a.attnum) as "uniqueKey"
    from pg_attribute a
    join resolved r on r.attnum = a.attnum
    join pg_type t on t.oid = r.typid
    join pg_type own on own.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    left join pg_collation co on co.oid = a.attcollation
    left join pg_namespace cn on cn.oid = co.collnamespace
   where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped
   order by a.attnum`;

const TRIGGERS = `
  select t.tgname as name, t.tgenabled::text as enabled, pg_get_triggerdef(t.oid) as definition,
         p.pronamespace = (select oid from pg_namespace where nspname = 'migration') is true as ours
    from pg_trigger t
    join pg_proc p on p.oid = t.tgfoid
   where t.tgrelid = $1::oid and not t.tgisinternal
   order by t.tgname`;

const REFERENCED_BY = `
  select conname as name, conrelid::regclass::text as table, pg_get_constraintdef(oid) as definition
    from pg_constraint
   where contype = 'f' and confrelid = $1::oid and conparentid = 0 and conrelid <> confrelid
   order by conrelid::regclass::text, conname`;

const CASCADES = `
  select conname as name, confrelid::regclass::text as table, pg_get_constraintdef(oid) as definition
    from pg_constraint
   where contype = 'f' and conrelid = $1::oid and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))
   order by conname`;

const RULES = `select rulename as name from pg_rewrite where ev_class = $1::oid and rulename <> '_RETURN' order by 1`;

/**
 * Describes one table, or returns undefined where there is none of that name. Run it with the
 * engine's `search_path`, so that type names and default expressions come back qualified.
 */
export const readTable = async (
  session: Session,
  schema: string,
  table: string,
): Promise<CatalogTable | undefined> => {
  const { rows } = await session.query(TABLE, [schema, table]);
  const found = rows[0];
  if (found === undefined) return undefined;
  const list = async (sql: string) => (await session.query(sql, [found.oid])).rows;
  const columns = await list(COLUMNS);
  const triggers = await list(TRIGGERS);
  const referencedBy = await list(REFERENCED_BY);
  const cascadingReferences = await list(CASCADES);
  const rules = (await list(RULES)).map((rule) => rule.name as string);
  const limits = await readLimits(session, found.oid);
  return {
    ...{ schema, table, ...found, columns, triggers },
    ...{ referencedBy, cascadingReferences, rules, limits },
  };
};
