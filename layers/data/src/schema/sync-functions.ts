import type { Projected, Projection } from '../projection/projection.ts';
import { dollarQuote, quoteIdentifier, quoteLiteral } from '../sql/identifier.ts';
import { CURRENT_BATCH } from '../stage/current-batch.ts';
import { keyArbiter } from './kits-table.ts';

const list = (parts: readonly string[]) => parts.join(',\n      ');

/** Columns of `kits` that a later synchronisation leaves alone: the id, the identity and the batch. */
const SET_ONCE = new Set(['id', 'source', 'legacy_id']);

export const syncToKitsName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_${source}_to_kits`)}`;
export const syncToLegacyName = (source: string): string =>
  `migration.${quoteIdentifier(`sync_kits_to_${source}`)}`;

/** One store's rows of a source. */
interface Side {
  readonly relation: string;
  readonly alias: string;
  /** What a statement reads them from, with the joins that their projection needs. */
  readonly from: string;
  /** A condition before the key's, ending in "and", that leaves out the other source's rows. */
  readonly mine: string;
  readonly key: string;
}

interface Upsert {
  readonly routine: string;
  readonly keyType: string;
  readonly origin: Side;
  readonly target: Side;
  readonly inserted: readonly Projected[];
  /** Between the inserted columns and their values. */
  readonly overriding?: string;
  readonly updated: readonly Projected[];
  readonly arbiter: string;
}

const sides = ({ binding, source, legacyFrom, legacyKey, kitsKey }: Projection) => ({
  legacy: { relation: source.relation, alias: 's', from: legacyFrom, mine: '', key: legacyKey },
  kits: {
    relation: binding.kits,
    alias: 'k',
    from: `${binding.kits} k`,
    mine: `k.source = ${quoteLiteral(source.source)} and `,
    key: kitsKey,
  },
});

/**
 * A function that brings the rows of some keys in one store up to the other: those of $1 are upserted,
 * those of $2 deleted where the origin has none. Deletions come first, so that a kit number may move from
 * a deleted kit to a new one. A null $2 says that $1 may hold such keys too: they are looked for only when
 * an update has missed some. $3 says that all rows are new, so that none is updated first; one that a
 * failed deletion has left is overwritten. The mirror and the drain both call it: one statement of what
 * "in step" means.
 *
 * A legacy column may be called what a variable is called, and an `on conflict (column)` cannot be
 * qualified: so the parameters have no names, and what else could be either ("found", "$1") is the
 * column. The plan is generic: an array's length would otherwise have each call planned anew (measured,
 * 190 µs a call against 40).
 */
const upsertFunction = ({
  routine,
  keyType,
  origin,
  target,
  inserted,
  overriding,
  updated,
  arbiter,
}: Upsert): string => {
  const targetRow = `${target.relation} ${target.alias}`;
  const deleteGone = (keys: string) => `delete from ${targetRow}
     where ${target.mine}${target.key} = any (${keys})
       and not exists (select from ${origin.relation} ${origin.alias} where ${origin.mine}${origin.key} = ${target.key});`;
  return `
create or replace function ${routine}(${keyType}[], ${keyType}[], boolean default false) returns void
language plpgsql set plan_cache_mode = force_generic_plan as ${dollarQuote(`
#variable_conflict use_column
declare uk_updated bigint := 0;
begin
  if cardinality($2) > 0 then
    ${deleteGone('$2')}
  end if;
  if cardinality($1) > 0 then
    if not $3 then
      update ${targetRow} set
      ${list(updated.map(({ column, expression }) => `${quoteIdentifier(column)} = ${expression}`))}
        from ${origin.from}
       where ${origin.mine}${origin.key} = any ($1) and ${target.mine}${target.key} = ${origin.key};
      get diagnostics uk_updated = row_count;
      if uk_updated = cardinality($1) then return; end if;
    end if;
    if $2 is null then
      ${deleteGone('$1')}
    end if;
    insert into ${target.relation} (
      ${list(inserted.map(({ column }) => quoteIdentifier(column)))}) ${overriding ?? ''}
    select
      ${list(inserted.map(({ expression }) => expression))}
      from ${origin.from}
     where ${origin.mine}${origin.key} = any ($1)
       and ($3 or not exists (select from ${targetRow} where ${target.mine}${target.key} = ${origin.key}))
     order by ${origin.key}
    on conflict ${arbiter} do update set
      ${list(updated.map(({ column }) => `${quoteIdentifier(column)} = excluded.${quoteIdentifier(column)}`))};
  end if;
end `)};`;
};

/** Legacy → `kits`. */
export const syncToKits = (projection: Projection): string => {
  const { binding, source, forward } = projection;
  const { legacy, kits } = sides(projection);
  return upsertFunction({
    routine: syncToKitsName(source.source),
    keyType: source.idType,
    origin: legacy,
    target: kits,
    inserted: [...forward, { column: 'migration_batch_id', expression: CURRENT_BATCH }],
    updated: forward.filter(({ column }) => !SET_ONCE.has(column)),
    arbiter: keyArbiter(binding, source.source),
  });
};

/**
 * `kits` → legacy. `identity always` columns take the value they had when a row is inserted, and are left
 * alone when it is there: PostgreSQL lets nobody update them.
 */
export const syncToLegacy = (projection: Projection): string => {
  const { source, backward } = projection;
  const { legacy, kits } = sides(projection);
  const fixed = new Set([
    source.id.name,
    ...source.catalog.columns.filter(({ identity }) => identity === 'a').map(({ name }) => name),
  ]);
  return upsertFunction({
    routine: syncToLegacyName(source.source),
    keyType: source.idType,
    origin: kits,
    target: legacy,
    inserted: backward,
    overriding: 'overriding system value',
    updated: backward.filter(({ column }) => !fixed.has(column)),
    arbiter: `(${quoteIdentifier(source.id.name)})`,
  });
};
