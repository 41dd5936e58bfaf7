import { z } from 'zod';
import { phaseHandler } from '../runtime/phase-handler.ts';
import { runSchema } from '../runtime/run.ts';
import { begin } from './begin.ts';
import { copy, drainBacklog, finish, mirror } from './copy.ts';
import { settle } from './settle.ts';

const batchId = z.string();
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('begin'), run: runSchema }),
  z.object({ action: z.literal('copy'), run: runSchema, batchId, lane: z.int() }),
  z.object({ action: z.literal('finish'), run: runSchema, batchId }),
  z.object({ action: z.literal('drain'), run: runSchema, batchId }),
  z.object({ action: z.literal('mirror'), run: runSchema, batchId }),
  z.object({
    action: z.literal('settle'),
    run: runSchema,
    failure: z.object({ Error: z.string() }),
  }),
]);

/** Phase 2: everything between an approved report and two stores in step, and the way out of a failure. */
export const handler = phaseHandler('phase2-migration', event, async (asked, call) => {
  switch (asked.action) {
    case 'begin':
      return begin(asked.run, call);
    case 'copy':
      return copy(asked.run, asked.batchId, call);
    case 'finish':
      return finish(asked.run, asked.batchId, call);
    case 'drain':
      return drainBacklog(asked.run, asked.batchId, call);
    case 'mirror':
      return mirror(asked.run, asked.batchId, call);
    case 'settle':
      return settle(asked.run, asked.failure, call);
  }
});
