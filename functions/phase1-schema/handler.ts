import { installKits, uninstallKits } from '@unified-kits/data';
import { z } from 'zod';
import { mappingOf } from '../runtime/bound.ts';
import { phaseHandler } from '../runtime/phase-handler.ts';

const run = z.object({ actor: z.string().min(1), execution: z.string() });
const event = z.object({ action: z.enum(['install', 'uninstall']), run });

/** Phase 1: `kits`, its map and functions, and the flags; or all of it taken back. */
export const handler = phaseHandler('phase1-schema', event, async ({ action, run }, call) => {
  const mapping = await mappingOf(call);
  if (action === 'uninstall')
    return { schema: await uninstallKits(call.db, mapping, run.actor), flagsCreated: 0 };
  const schema = await installKits(call.db, mapping, run.actor);
  const created = await call.flags.ensure();
  return { schema, flagsCreated: created.length };
});
