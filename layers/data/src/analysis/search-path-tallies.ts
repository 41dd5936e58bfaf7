import { MOST_KEYS, SOURCES, type Tally } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';

/**
 * Functions in the defaults, checks, generated columns and indexes of a table, and in the checks of its
 * columns' domains, whose body is read when it runs and under whatever `search_path` holds then. A body of
 * standard SQL was bound when it was made; one in C looks nothing up.
 */
const FUNCTIONS = `
  with parts as (
    select 'pg_attrdef'::regclass as class, oid from pg_attrdef where adrelid = $1::oid
    union all
    select 'pg_constraint'::regclass, c.oid from pg_constraint c
     where c.contype = 'c'
       and (c.conrelid = $1::oid
            or c.contypid in (select a.atttypid from pg_attribute a where a.attrelid = $1::oid and a.attnum > 0 and not a.attisdropped))
    union all
    select 'pg_class'::regclass, indexrelid from pg_index where indrelid = $1::oid
  )
  select distinct p.oid::regprocedure::text as name
    from parts
    join pg_depend d on d.classid = parts.class and d.objid = parts.oid and d.refclassid = 'pg_proc'::regclass
    join pg_proc p on p.oid = d.refobjid
    join pg_language l on l.oid = p.prolang
   where p.pronamespace <> 'pg_catalog'::regnamespace and l.lanname not in ('internal', 'c') and p.prosqlbody is null
     and not exists (select from unnest(p.proconfig) setting where setting like 'search_path=%')
   order by 1`;

/** What would find other tables, or none, when a birth or a mirror calls it: both run with a fixed `search_path`. */
export const searchPathTallies = async (session: Session, binding: Binding): Promise<Tally[]> => {
  const tallies: Tally[] = [];
  for (const source of SOURCES) {
    const { rows } = await session.query(FUNCTIONS, [binding.sources[source].catalog.oid]);
    const keys: string[] = rows.map(({ name }) => name);
    tallies.push({
      code: 'FUNCTION_WITHOUT_SEARCH_PATH',
      source,
      count: keys.length,
      keys: keys.slice(0, MOST_KEYS),
    });
  }
  return tallies;
};
