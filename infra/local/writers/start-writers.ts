import type { FlagSource, Source } from '@unified-kits/domain';
import { foldLedger } from './fold-ledger.ts';
import { openLedger, readLedger } from './ledger.ts';
import { OwnedRows } from './owned-rows.ts';
import type { WritersPlan } from './plan.ts';
import { seededRandom } from './random.ts';
import { runWriter, type WriterCounters } from './writer.ts';

export interface RunningWriters {
  readonly counters: Readonly<WriterCounters>;
  /** The first fault of a writer, or undefined: a writer that ended early proves nothing. */
  readonly fault: () => unknown;
  /** Lets the writes in flight end, and waits for them; again is harmless. */
  stop(): Promise<void>;
}

export const newCounters = (): WriterCounters => ({
  acknowledged: 0,
  failed: 0,
  unknown: 0,
  redirected: 0,
  staleReads: 0,
  reads: 0,
  latencies: [],
});

/**
 * Starts the writers of a plan, each on a connection, a ledger file and rows of its own, each with flags
 * cached as a service caches them.
 *
 * @param flags makes one writer's view of the flags
 * @param rate writes per second of each writer
 */
export const startWriters = async (
  plan: WritersPlan,
  options: {
    readonly directory: string;
    readonly url: string;
    readonly flags: () => FlagSource;
    readonly rate: number;
    readonly seed: number;
    readonly counters: WriterCounters;
  },
): Promise<RunningWriters> => {
  const entries = await readLedger(options.directory);
  const controller = new AbortController();
  let fault: unknown;
  const loops = Array.from({ length: plan.writers }, (_, writer) => {
    const own = entries.filter((entry) => entry.writer === writer);
    const keys = (source: Source) => plan.keys[source][writer] ?? [];
    return runWriter({
      writer,
      url: options.url,
      shapes: plan.shapes,
      flags: options.flags(),
      ledger: openLedger(options.directory, writer),
      firstNumber: own.reduce((most, { intent }) => Math.max(most, intent.n), 0) + 1,
      rows: new OwnedRows(
        { kit: keys('kit'), practitioner_kits: keys('practitioner_kits') },
        foldLedger(own).values(),
      ),
      random: seededRandom(options.seed * 1_000 + writer * 7 + own.length),
      rate: options.rate,
      counters: options.counters,
      signal: controller.signal,
    }).catch((error: unknown) => {
      fault ??= error;
    });
  });
  return {
    counters: options.counters,
    fault: () => fault,
    async stop() {
      controller.abort();
      await Promise.all(loops);
    },
  };
};
