import { readProgress } from '@unified-kits/data';
import { METRICS } from '../runtime/metric-names.ts';
import type { Call } from '../runtime/phase-handler.ts';
import { flushMetrics, serviceMetrics } from '../runtime/service-metrics.ts';

/** How often a lane at work tells of itself, in milliseconds: a call may last for a quarter of an hour. */
const EVERY_MS = 10_000;

/** What a lane of the copy measures while it works. */
export interface CopyPace {
  copied(rows: number): void;
  /** Tells how long all lanes will take, if it is time to. */
  tellNowAndThen(): Promise<void>;
  tell(): Promise<void>;
}

export const copyPace = ({ db, phase }: Call, batchId: string): CopyPace => {
  const metrics = serviceMetrics(phase);
  const progress = () =>
    db.transaction({ asEngine: true, readOnly: true }, (session) => readProgress(session, batchId));
  let first: { readonly at: number; readonly copied: number } | undefined;
  let next = 0;
  const tell = async (): Promise<void> => {
    const { copied, expected } = await progress();
    const now = Date.now();
    first ??= { at: now, copied };
    next = now + EVERY_MS;
    const left = Math.max(0, expected - copied);
    const perSecond = ((copied - first.copied) * 1000) / (now - first.at);
    // A copy that has just begun, or is paused, has no pace to tell the time by.
    if (left === 0) metrics.level(METRICS.CopySecondsLeft, 0);
    else if (perSecond > 0) metrics.level(METRICS.CopySecondsLeft, Math.ceil(left / perSecond));
    flushMetrics();
  };
  return {
    copied: (rows) => metrics.count(METRICS.CopiedRows, rows),
    async tellNowAndThen() {
      if (Date.now() >= next) await tell();
    },
    tell,
  };
};
