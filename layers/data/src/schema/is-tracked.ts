import type { Database } from '../connection/database.ts';

/** Whether phase 0 has made the schema `migration`: before that there is nothing to read. */
export const isTracked = async (db: Database): Promise<boolean> => {
  const [found] = await db.query<{ tracked: boolean }>(
    `select to_regclass('migration.stage') is not null as tracked`,
  );
  return found?.tracked === true;
};
