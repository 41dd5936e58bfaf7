import type { Session } from '../connection/database.ts';

/**
 * Chunks hold this lock shared, a drain holds it alone, both until their transaction ends. A key that a
 * drain consumed while a chunk was under way would let the chunk commit an older row over it, also a
 * chunk whose worker is dead and whose session lives on. It keeps a second drain out as well, whose
 * older read could overwrite a newer one.
 */
export const COPY_AGAINST_DRAIN = `hashtextextended('unified-kits copy against drain', 0)`;

/** Waits, up to the transaction's lock timeout, until no drain is under way. */
export const enterChunk = async (session: Session): Promise<void> => {
  await session.query(`select pg_advisory_xact_lock_shared(${COPY_AGAINST_DRAIN})`);
};

/** Waits, up to the transaction's lock timeout, until no chunk and no other drain is under way. */
export const enterDrain = async (session: Session): Promise<void> => {
  await session.query(`select pg_advisory_xact_lock(${COPY_AGAINST_DRAIN})`);
};
