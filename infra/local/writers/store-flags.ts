import type { Flags, Store } from '@unified-kits/domain';

/** What a service asks of the flags: `FlagStore` has both. */
export interface FlagSource {
  /** At most 5 s old. */
  cached(): Promise<Flags>;
  /** Uncached. */
  read(): Promise<Flags>;
}

export const otherStore = (store: Store): Store => (store === 'legacy' ? 'kits' : 'legacy');
export const writesTo = (flags: Flags): Store => (flags.unifiedWrites ? 'kits' : 'legacy');
export const readsFrom = (flags: Flags): Store => (flags.unifiedReads ? 'kits' : 'legacy');
