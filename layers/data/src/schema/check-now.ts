import type { Projection } from '../projection/projection.ts';
import { quoteLiteral } from '../sql/identifier.ts';

/**
 * Checks at once what a legacy table's constraints would leave to the end of the transaction, where it
 * would be the client's commit that fails. The names are looked up, for a constraint may be dropped later.
 */
export const checkNow = (projections: readonly Projection[]): string => `
    select string_agg(format('%I.%I', n.nspname, c.conname), ', '),
           string_agg(format('%I.%I', n.nspname, c.conname), ', ') filter (where c.condeferred)
      into deferrable_names, deferred_names
      from pg_constraint c join pg_namespace n on n.oid = c.connamespace
     where c.condeferrable and c.conrelid in (${projections.map(({ source }) => `${quoteLiteral(source.relation)}::regclass`).join(', ')});
    if deferrable_names is not null then
      execute 'set constraints ' || deferrable_names || ' immediate';
    end if;
    if deferred_names is not null then
      execute 'set constraints ' || deferred_names || ' deferred';
    end if;`;
