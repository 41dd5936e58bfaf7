import { FENCE_SQLSTATE, UNMAPPED_VALUE_SQLSTATE } from '@unified-kits/domain';

/**
 * The fence. Who writes is judged by its triggers' `when`, as whoever writes: `current_user` is the
 * engine's role only in the engine's own statements and in its `security definer` mirrors, nothing an
 * application's session could set, and the engine's own rows are spared the call. The statement trigger
 * refuses also what would touch no row, because a client with stale flags must hear "not here" instead of
 * "no such kit"; within another trigger (a cascade from a parent) only a row that would really change is
 * refused, by the row trigger. The function has its owner's rights only to count what it refuses.
 */
export const FENCE_FUNCTIONS = `
create or replace function migration.refuse_write() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
begin
  if tg_level = 'STATEMENT' and pg_trigger_depth() > 1 then return null; end if;
  perform nextval('migration.refused_writes');
  raise exception using errcode = '${FENCE_SQLSTATE}',
    message = format('%I.%I is not authoritative now: write to %s', tg_table_schema, tg_table_name, tg_argv[0]),
    hint = 'Refresh the flags and try again on the other store.';
end $function$;

create or replace function migration.refuse_truncate() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $function$
begin
  raise exception using errcode = 'feature_not_supported',
    message = format('TRUNCATE of %I.%I is refused while a migration captures its rows', tg_table_schema, tg_table_name),
    hint = 'Use DELETE, or wait until the migration has ended.';
end $function$;

-- The value is an argument so that the planner cannot evaluate the call before a row asks for it; it is never shown.
create or replace function migration.unmapped_value(source text, column_name text, unmapped text) returns text language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $function$
begin
  raise exception using errcode = '${UNMAPPED_VALUE_SQLSTATE}',
    message = format('a value of column %I of %s is not named in the mapping', column_name, source);
end $function$;
`;
