import type { Session } from '../connection/database.ts';

/** The triggers of ours on some tables, by relation and name, each with its state (`tgenabled`). */
export const readTriggers = async (
  session: Session,
  relations: readonly string[],
): Promise<Map<string, Map<string, string>>> => {
  const { rows } = await session.query(
    `select given.relation, t.tgname as name, t.tgenabled::text as enabled
       from unnest($1::text[]) given(relation) join pg_trigger t on t.tgrelid = given.relation::regclass
      where not t.tgisinternal and t.tgname like 'uk\\_%'`,
    [relations],
  );
  const triggers = new Map<string, Map<string, string>>(
    relations.map((relation) => [relation, new Map()]),
  );
  for (const { relation, name, enabled } of rows) triggers.get(relation)?.set(name, enabled);
  return triggers;
};
