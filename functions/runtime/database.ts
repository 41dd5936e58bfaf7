import { type Database, openDatabase } from '@unified-kits/data';

/** Opened when first used, once per process and database, and kept for the calls that follow. */
const pools = new Map<string, Database>();

/** In a Lambda one connection or two are used; a local process runs all functions on one pool. */
const MOST_CONNECTIONS = 10;

/** The pool of a database. */
export const databaseAt = (url: string): Database => {
  const known = pools.get(url);
  if (known !== undefined) return known;
  const opened = openDatabase(url, MOST_CONNECTIONS);
  pools.set(url, opened);
  return opened;
};

/** Closes a database's pool; the next use opens another. */
export const closeDatabaseAt = async (url: string): Promise<void> => {
  const known = pools.get(url);
  pools.delete(url);
  await known?.close();
};
