import {
  type FlagSource,
  otherStore,
  readsFrom,
  STAGE_DEFINITIONS,
  type Store,
  StoreUnsettled,
  writesTo,
} from '@unified-kits/domain';
import type { Reading } from './kit-store.ts';
import { WrongStore } from './write-faults.ts';

/** What the router tells of itself, for metrics. */
export interface RouterObserver {
  /** A write met the fence and went to the other store. */
  redirected(): void;
  /** A read would have been stale and went to the authoritative store. */
  staleReadAvoided(): void;
}

/** A flip takes milliseconds; nobody flips forth and back while one request tries so often. */
const MOST_ATTEMPTS = 4;

/**
 * Picks the store of a request by the flags, and corrects the choice by what the database says. One request
 * is answered by one store: an attempt that met the wrong one is thrown away whole.
 */
export const storeRouter = (flags: FlagSource, observer: RouterObserver) => ({
  /**
   * Reads from the store that the flags name, or from the authoritative one where that store was not in
   * step in the snapshot it was read in: stale flags cost a round trip, never a stale answer.
   *
   * @throws {StoreUnsettled} when the stage changed at every attempt.
   */
  async read<Value>(
    attempt: (store: Store) => Promise<Reading<Value>>,
  ): Promise<Reading<Value> & { readonly store: Store }> {
    let store = readsFrom(await flags.cached());
    for (let tries = 1; tries <= MOST_ATTEMPTS; tries += 1) {
      const reading = await attempt(store);
      if (reading.inStep) return { ...reading, store };
      observer.staleReadAvoided();
      // For the requests to come; this one goes where the database says.
      if (tries === 1) await flags.read();
      store = STAGE_DEFINITIONS[reading.stage].writes;
    }
    throw new StoreUnsettled('the stage changes faster than a read: try again');
  },

  /**
   * Writes to the store that the flags name; where the fence refuses, the flags are read afresh and the
   * other store is written.
   *
   * @throws {StoreUnsettled} when both stores refused, again and again.
   */
  async write<Value>(attempt: (store: Store) => Promise<Value>): Promise<Value> {
    let store = writesTo(await flags.cached());
    for (let tries = 1; tries <= MOST_ATTEMPTS; tries += 1)
      try {
        return await attempt(store);
      } catch (error) {
        if (!(error instanceof WrongStore)) throw error;
        observer.redirected();
        if (tries === 1) await flags.read();
        store = otherStore(store);
      }
    throw new StoreUnsettled('the stage changes faster than a write: try again');
  },
});
