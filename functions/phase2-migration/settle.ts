import { readLead, recordEvent } from '@unified-kits/data';
import { STAGE_DEFINITIONS } from '@unified-kits/domain';
import { readSituation } from '../runtime/batch-of-run.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { Run } from '../runtime/run.ts';

export interface Failure {
  readonly Error: string;
}

/**
 * After a failure. While legacy is authoritative: production on legacy, guard off, capture or mirror left
 * on, which costs next to nothing and spares a resume the second copy. Once `kits` is authoritative
 * nothing is switched: an alarm, and the rollback is offered. What another execution drives is not touched.
 */
export const settle = async (run: Run, failure: Failure, call: Call) => {
  const { db, flags, phase } = call;
  const { stage, batch, leads } = await db.transaction({ asEngine: true }, async (session) => {
    const { stage, active } = await readSituation(session);
    const batch = active?.kind === 'full' ? active : undefined;
    const lead = batch === undefined ? undefined : await readLead(session, batch.id);
    return { stage, batch, leads: lead?.execution === run.execution };
  });
  const writes = STAGE_DEFINITIONS[stage.stage].writes;
  const outcome = { stage: stage.stage, writes, batchId: batch?.id ?? null };
  if (!leads || batch === undefined) return { ...outcome, settled: false };
  if (writes === 'legacy')
    await flags.write({
      unifiedWrites: false,
      unifiedReads: false,
      dualWrite: false,
      migrationInProgress: false,
    });
  await db.transaction({ asEngine: true }, (session) =>
    recordEvent(session, {
      phase,
      action: writes === 'legacy' ? 'settled' : 'alarm',
      actor: run.actor,
      batchId: batch.id,
      detail: {
        error: failure.Error,
        stage: stage.stage,
        ...(writes === 'legacy'
          ? { resume: 'start the cutover again' }
          : { rollback: 'offered: start the rollback workflow, or start the cutover again' }),
      },
    }),
  );
  return { ...outcome, settled: writes === 'legacy' };
};
