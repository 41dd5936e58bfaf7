import type { Session } from '../connection/database.ts';

/** How many writes the fence has refused since the schema was made. */
export const readRefusedWrites = async (session: Session): Promise<number> =>
  (
    await session.query(
      'select (last_value + is_called::int)::float8 as refused from migration.refused_writes',
    )
  ).rows[0].refused;
