import type { Projection } from '../projection/projection.ts';
import { dollarQuote, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { keyArbiter } from './kits-table.ts';

const list = (parts: readonly string[]) => parts.join(',\n      ');

/** Columns of `kits` that a later synchronisation leaves alone: the id, the identity and the batch. */
const SET_ONCE = new Set(['id', 'source', 'legacy_id']);

export const syncToKitsName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_${source}_to_kits`)}`;
export const syncToLegacyName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_kits_to_${source}`)}`;

/**
 * Brings the rows of some keys in `kits` up to the legacy table: those of $1 are upserted from it,
 * those of $2 deleted where the legacy row is gone. Deletions come first, so that a kit number may
 * move from a deleted kit to a new one. A null $2 says that $1 may hold such keys too: they are looked
 * for only when an update has missed some. $3 says that all rows
 * are new, so that none is updated first; one that a failed deletion has left is overwritten. The mirror and the drain both call it: one statement of what
 * "in step" means. A legacy column may be called what a variable is called, and an `on conflict (column)`
 * cannot be qualified: so the parameters have no names, and what else could be either ("found", "$1")
 * is the column. The plan is generic: an array's length would otherwise have each call planned anew
 * (measured, 190 µs a call against 40).
 */
export const syncToKits = ({
  binding,
  source,
  forward,
  legacyFrom,
  legacyKey,
  kitsKey,
}: Projection): string => {
  const changing = forward.filter(({ column }) => !SET_ONCE.has(column));
  const deleteGone = (keys: string) =>
    `delete from ${binding.kits} k
       where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any (${keys})
         and not exists (select from ${source.relation} s where ${legacyKey} = ${kitsKey});`;
  return `
create or replace function ${syncToKitsName(source.source)}(${source.idType}[], ${source.idType}[], boolean default false) returns void
language plpgsql set plan_cache_mode = force_generic_plan as ${dollarQuote(`
#variable_conflict use_column
declare uk_updated bigint := 0;
begin
  if cardinality($2) > 0 then
    ${deleteGone('$2')}
  end if;
  if cardinality($1) > 0 then
    if not $3 then
      update ${binding.kits} k set
      ${list(changing.map(({ column, expression }) => `${quoteIdentifier(column)} = ${expression}`))}
        from ${legacyFrom}
       where ${legacyKey} = any ($1) and k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${legacyKey};
      get diagnostics uk_updated = row_count;
      if uk_updated = cardinality($1) then return; end if;
    end if;
    if $2 is null then
      ${deleteGone('$1')}
    end if;
    insert into ${binding.kits} (
      ${list([...forward.map(({ column }) => quoteIdentifier(column)), 'migration_batch_id'])})
    select
      ${list([...forward.map(({ expression }) => expression), '(select batch_id from migration.stage)'])}
      from ${legacyFrom}
     where ${legacyKey} = any ($1)
       and ($3 or not exists (select from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${legacyKey}))
     order by ${legacyKey}
    on conflict ${keyArbiter(binding, source.source)} do update set
      ${list(changing.map(({ column }) => `${quoteIdentifier(column)} = excluded.${quoteIdentifier(column)}`))};
  end if;
end `)};`;
};

/**
 * The same from `kits` to the legacy table. `identity always` columns take the value they had when a row
 * is inserted, and are left alone when it is there: PostgreSQL lets nobody update them.
 */
export const syncToLegacy = ({
  binding,
  source,
  backward,
  legacyKey,
  kitsKey,
}: Projection): string => {
  const alwaysIdentity = new Set(
    source.catalog.columns.filter(({ identity }) => identity === 'a').map(({ name }) => name),
  );
  const deleteGone = (keys: string) =>
    `delete from ${source.relation} s
       where ${legacyKey} = any (${keys})
         and not exists (select from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${legacyKey});`;
  const changing = backward.filter(
    ({ column }) => column !== source.id.name && !alwaysIdentity.has(column),
  );
  return `
create or replace function ${syncToLegacyName(source.source)}(${source.idType}[], ${source.idType}[], boolean default false) returns void
language plpgsql set plan_cache_mode = force_generic_plan as ${dollarQuote(`
#variable_conflict use_column
declare uk_updated bigint := 0;
begin
  if cardinality($2) > 0 then
    ${deleteGone('$2')}
  end if;
  if cardinality($1) > 0 then
    if not $3 then
      update ${source.relation} s set
      ${list(changing.map(({ column, expression }) => `${quoteIdentifier(column)} = ${expression}`))}
        from ${binding.kits} k
       where ${legacyKey} = any ($1) and k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${legacyKey};
      get diagnostics uk_updated = row_count;
      if uk_updated = cardinality($1) then return; end if;
    end if;
    if $2 is null then
      ${deleteGone('$1')}
    end if;
    insert into ${source.relation} (
      ${list(backward.map(({ column }) => quoteIdentifier(column)))}) overriding system value
    select
      ${list(backward.map(({ expression }) => expression))}
      from ${binding.kits} k
     where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any ($1)
       and ($3 or not exists (select from ${source.relation} s where ${legacyKey} = ${kitsKey}))
     order by ${kitsKey}
    on conflict (${quoteIdentifier(source.id.name)}) do update set
      ${list(changing.map(({ column }) => `${quoteIdentifier(column)} = excluded.${quoteIdentifier(column)}`))};
  end if;
end `)};`;
};
