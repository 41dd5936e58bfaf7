import { type FlagSource, type Flags, UnifiedKitsError } from '@unified-kits/domain';

/** As before any wish. */
const NONE: Flags = {
  unifiedReads: false,
  unifiedWrites: false,
  dualWrite: false,
  migrationInProgress: false,
  shadowReads: 0,
  copyRowsPerSecond: undefined,
};

/** For so long nobody asks again after the flags could not be read: each request would wait, and a throttle would stay. */
const SILENCE_MS = 1_000;

/**
 * The flags for whoever picks a store by them. While they cannot be read it goes on by what they said last:
 * the database corrects every choice, so that costs a round trip at most, where an error would cost the client.
 */
export const survivingFlags = (flags: FlagSource, now: () => number = Date.now): FlagSource => {
  let last = NONE;
  let silentUntil = 0;
  const asked = async (ask: () => Promise<Flags>): Promise<Flags> => {
    if (now() < silentUntil) return last;
    try {
      last = await ask();
    } catch (error) {
      if (!(error instanceof UnifiedKitsError)) throw error;
      silentUntil = now() + SILENCE_MS;
    }
    return last;
  };
  return { cached: () => asked(() => flags.cached()), read: () => asked(() => flags.read()) };
};
