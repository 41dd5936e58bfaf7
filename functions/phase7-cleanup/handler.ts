import { MonitorBreach } from '@unified-kits/domain';
import { z } from 'zod';
import { METRICS } from '../runtime/metric-names.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { type Run, runSchema } from '../runtime/run.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';
import { close, summary } from './close.ts';
import { monitor } from './monitor.ts';

const batchId = z.string();
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('monitor'), run: runSchema, batchId, checks: z.int() }),
  z.object({ action: z.literal('close'), run: runSchema, batchId }),
  z.object({ action: z.literal('summary'), run: runSchema, batchId }),
]);

/** A check that has seen nothing is measured, too: else a graph would show the last breach for ever. */
const watched = async (run: Run, batchId: string, checks: number, call: Call) => {
  const metrics = serviceMetrics(call.phase);
  try {
    const seen = await monitor(run, batchId, checks, call);
    metrics.count(METRICS.FenceRefusals, seen.refused);
    metrics.count(METRICS.MonitorBreaches, 0);
    return seen;
  } catch (error) {
    if (error instanceof MonitorBreach) metrics.count(METRICS.MonitorBreaches);
    throw error;
  }
};

/** Phase 7: the monitoring window, the close, and the closing summary. */
export const handler = phaseHandler('phase7-cleanup', event, async (asked, call) => {
  switch (asked.action) {
    case 'monitor':
      return watched(asked.run, asked.batchId, asked.checks, call);
    case 'close':
      return close(asked.run, asked.batchId, call);
    case 'summary':
      return summary(asked.run, asked.batchId, call);
  }
});
