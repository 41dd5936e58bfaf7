import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { quoteIdentifier } from '../sql/identifier.ts';

/**
 * Switches off an organisation's own triggers on the legacy tables, remembering how each was set: once
 * `kits` is authoritative they would change what the mirror writes there. Their owner must run this.
 */
export const suspendTriggers = async (session: Session, binding: Binding): Promise<void> => {
  const relations = Object.values(binding.sources).map(({ relation }) => relation);
  const { rows } = await session.query(
    `insert into migration.suspended_trigger (relation, name, enabled)
     select t.tgrelid::regclass::text, t.tgname, t.tgenabled::text
       from pg_trigger t join pg_proc p on p.oid = t.tgfoid join pg_namespace n on n.oid = p.pronamespace
      where t.tgrelid = any ($1::regclass[]) and not t.tgisinternal and t.tgenabled <> 'D' and n.nspname <> 'migration'
     on conflict (relation, name) do nothing
     returning relation, name`,
    [relations],
  );
  for (const { relation, name } of rows)
    await session.query(`alter table ${relation} disable trigger ${quoteIdentifier(name)}`);
};

const ENABLE: Readonly<Record<string, string>> = {
  O: 'enable',
  R: 'enable replica',
  A: 'enable always',
};

/** Gives the triggers back the state they had; their owner may have dropped some since. */
export const restoreTriggers = async (session: Session): Promise<void> => {
  const { rows } = await session.query(
    `with suspended as (delete from migration.suspended_trigger returning relation, name, enabled)
     select relation, name, enabled from suspended
      where exists (select from pg_trigger t where t.tgrelid = to_regclass(suspended.relation) and t.tgname = suspended.name)`,
  );
  for (const { relation, name, enabled } of rows)
    await session.query(
      `alter table ${relation} ${ENABLE[enabled] ?? 'enable'} trigger ${quoteIdentifier(name)}`,
    );
};
