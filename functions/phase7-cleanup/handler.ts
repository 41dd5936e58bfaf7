import { z } from 'zod';
import { phaseHandler } from '../runtime/phase-handler.ts';
import { runSchema } from '../runtime/run.ts';
import { close, summary } from './close.ts';
import { monitor } from './monitor.ts';

const batchId = z.string();
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('monitor'), run: runSchema, batchId, checks: z.int() }),
  z.object({ action: z.literal('close'), run: runSchema, batchId }),
  z.object({ action: z.literal('summary'), run: runSchema, batchId }),
]);

/** Phase 7: the monitoring window, the close, and the closing summary. */
export const handler = phaseHandler('phase7-cleanup', event, async (asked, call) => {
  switch (asked.action) {
    case 'monitor':
      return monitor(asked.run, asked.batchId, asked.checks, call);
    case 'close':
      return close(asked.run, asked.batchId, call);
    case 'summary':
      return summary(asked.run, asked.batchId, call);
  }
});
