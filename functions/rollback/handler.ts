import { z } from 'zod';
import { phaseHandler } from '../runtime/phase-handler.ts';
import { rollbackRunSchema } from '../runtime/run.ts';
import { begin } from './begin.ts';
import { alarm, prove, remove, repair } from './clear.ts';
import { reverse } from './reverse.ts';

const run = rollbackRunSchema;
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('begin'), execution: z.string(), input: z.unknown() }),
  z.object({ action: z.literal('reverse'), run }),
  z.object({ action: z.literal('repair'), run }),
  z.object({ action: z.literal('delete'), run }),
  z.object({ action: z.literal('prove'), run }),
  z.object({ action: z.literal('alarm'), run, failure: z.object({ Error: z.string() }) }),
]);

/** The rollback: from any stage, and from a batch that died anywhere; every step may be taken again. */
export const handler = phaseHandler('rollback', event, async (asked, call) => {
  switch (asked.action) {
    case 'begin':
      return begin(asked.execution, asked.input, call);
    case 'reverse':
      return reverse(asked.run, call);
    case 'repair':
      return repair(asked.run, call);
    case 'delete':
      return remove(asked.run, call);
    case 'prove':
      return prove(asked.run, call);
    case 'alarm':
      return alarm(asked.run, asked.failure, call);
  }
});
