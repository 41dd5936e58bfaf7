import type { Database } from '../connection/database.ts';

const KEYS_PER_PIECE = 10_000;

/**
 * Forgets what is noted while stage `legacy` holds: legacy is authoritative, nothing mirrors it, so it
 * has no meaning. In pieces and outside the flip, because a backlog may be large; not by TRUNCATE, which
 * waits for every reader (a dump holds its locks for hours) and holds up those that come later. The stage
 * is looked at in each piece, so that no key of a batch that begins meanwhile is lost.
 */
export const clearBacklog = async (db: Database): Promise<void> => {
  for (let deleted = KEYS_PER_PIECE; deleted === KEYS_PER_PIECE; )
    deleted = await db.transaction({ asEngine: true, lockTimeoutMs: 10_000 }, async (session) => {
      const { rowCount } = await session.query(
        `select from migration.stage where stage = 'legacy' for share`,
      );
      if (rowCount === 0) return 0;
      const cleared = await session.query(
        'delete from migration.pending_sync where ctid = any (array(select ctid from migration.pending_sync limit $1))',
        [KEYS_PER_PIECE],
      );
      return cleared.rowCount ?? 0;
    });
};
