import { setTimeout as sleep } from 'node:timers/promises';
import { hasSqlState, SQLSTATE } from '@unified-kits/data';
import {
  FENCE_SQLSTATE,
  type FlagSource,
  otherStore,
  type Store,
  writesTo,
} from '@unified-kits/domain';
import pg from 'pg';

/** How a write ended; the ledger keeps it. */
export interface WriteResult {
  readonly result: 'ok' | 'failed' | 'unknown';
  readonly store: Store;
  readonly key: string | null;
  readonly code?: string;
}

/** Tries of one store after a deadlock or a lock timeout, as a service makes them. */
const MOST_TRIES = 4;
/** The server ended the session: whether the statement's commit came first, nobody here knows. */
const CONNECTION_LOST = /^(57P0[123]|08)/;

const once = async (
  write: (store: Store) => Promise<string | undefined>,
  store: Store,
): Promise<WriteResult | 'fenced'> => {
  for (let attempt = 1; ; attempt += 1)
    try {
      const key = await write(store);
      return key === undefined
        ? { result: 'failed', store, key: null, code: 'no row' }
        : { result: 'ok', store, key };
    } catch (error) {
      if (hasSqlState(error, FENCE_SQLSTATE)) return 'fenced';
      const passes = hasSqlState(
        error,
        SQLSTATE.deadlockDetected,
        SQLSTATE.serializationFailure,
        SQLSTATE.lockNotAvailable,
      );
      if (passes && attempt < MOST_TRIES) {
        await sleep(20 * attempt);
        continue;
      }
      if (error instanceof pg.DatabaseError && !CONNECTION_LOST.test(error.code ?? ''))
        return { result: 'failed', store, key: null, code: error.code ?? 'unknown' };
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'connection';
      return { result: 'unknown', store, key: null, code };
    }
};

/**
 * Writes as a service does (DESIGN section 4, "Services and stale flags"): to the store that the cached
 * flags name; where the fence refuses it, the flags are read afresh once and the other store is written.
 *
 * @param write does the write in a store and resolves to the row's legacy id, or undefined without a row
 * @returns how it ended, and whether the fence redirected it.
 */
export const fencedWrite = async (
  flags: FlagSource,
  write: (store: Store) => Promise<string | undefined>,
): Promise<WriteResult & { readonly redirected: boolean }> => {
  const first = writesTo(await flags.cached());
  const direct = await once(write, first);
  if (direct !== 'fenced') return { ...direct, redirected: false };
  await flags.read();
  const second = otherStore(first);
  const redirected = await once(write, second);
  if (redirected !== 'fenced') return { ...redirected, redirected: true };
  // A flip forth and back while the flags were read: the service answers 503 and its client tries again.
  return { result: 'failed', store: second, key: null, code: FENCE_SQLSTATE, redirected: true };
};
