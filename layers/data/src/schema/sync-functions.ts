import type { Projection } from '../projection/projection.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { keyArbiter } from './kits-table.ts';

const list = (parts: readonly string[]) => parts.join(',\n      ');

/** Columns of `kits` that a later synchronisation leaves alone: the id, the identity and the batch. */
const SET_ONCE = new Set(['id', 'source', 'legacy_id']);

export const syncToKitsName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_${source}_to_kits`)}`;
export const syncToLegacyName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_kits_to_${source}`)}`;

/**
 * Brings the rows of some keys in `kits` up to the legacy table: those of `keys` are upserted from it,
 * those of `gone` deleted where the legacy row is gone. Deletions come first, so that a kit number may
 * move from a deleted kit to a new one. The mirror and the drain both call it: one statement of what
 * "in step" means.
 */
export const syncToKits = ({
  binding,
  source,
  forward,
  legacyFrom,
  legacyKey,
  kitsKey,
}: Projection): string => `
create or replace function ${syncToKitsName(source.source)}(keys ${source.idType}[], gone ${source.idType}[]) returns void
language plpgsql as $function$
begin
  if cardinality(gone) > 0 then
    delete from ${binding.kits} k
     where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any (gone)
       and not exists (select from ${source.relation} s where ${legacyKey} = ${kitsKey});
  end if;
  if cardinality(keys) > 0 then
    insert into ${binding.kits} (
      ${list([...forward.map(({ column }) => quoteIdentifier(column)), 'migration_batch_id'])})
    select
      ${list([...forward.map(({ expression }) => expression), '(select batch_id from migration.stage)'])}
      from ${legacyFrom}
     where ${legacyKey} = any (keys)
     order by ${legacyKey}
    on conflict ${keyArbiter(binding, source.source)} do update set
      ${list(
        forward
          .filter(({ column }) => !SET_ONCE.has(column))
          .map(({ column }) => `${quoteIdentifier(column)} = excluded.${quoteIdentifier(column)}`),
      )};
  end if;
end $function$;`;

/** The same from `kits` to the legacy table. `identity always` columns take the value they had. */
export const syncToLegacy = ({
  binding,
  source,
  backward,
  legacyKey,
  kitsKey,
}: Projection): string => `
create or replace function ${syncToLegacyName(source.source)}(keys ${source.idType}[], gone ${source.idType}[]) returns void
language plpgsql as $function$
begin
  if cardinality(gone) > 0 then
    delete from ${source.relation} s
     where ${legacyKey} = any (gone)
       and not exists (select from ${binding.kits} k where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = ${legacyKey});
  end if;
  if cardinality(keys) > 0 then
    insert into ${source.relation} (
      ${list(backward.map(({ column }) => quoteIdentifier(column)))}) overriding system value
    select
      ${list(backward.map(({ expression }) => expression))}
      from ${binding.kits} k
     where k.source = ${quoteLiteral(source.source)} and ${kitsKey} = any (keys)
     order by ${kitsKey}
    on conflict (${quoteIdentifier(source.id.name)}) do update set
      ${list(
        backward
          .filter(({ column }) => column !== source.id.name)
          .map(({ column }) => `${quoteIdentifier(column)} = excluded.${quoteIdentifier(column)}`),
      )};
  end if;
end $function$;`;
