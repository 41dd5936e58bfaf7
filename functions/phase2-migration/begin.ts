import { beginBatch, planCopy, readStage, takeLead } from '@unified-kits/data';
import { resumable } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import { flipTo } from '../runtime/flip-stage.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { Run } from '../runtime/run.ts';

/**
 * Begins a batch, or goes on with the one that is active: this execution drives it from now on, the guard
 * is on, changes are captured and the copy is planned. In a later stage nothing but the lead changes, and
 * once `kits` is authoritative the guard stays as it is: workers are at work again.
 */
export const begin = async (run: Run, call: Call) => {
  const { db, flags, phase, deadline } = call;
  const { actor, execution } = run;
  const binding = await bound(call);
  const { batch, resumed } = await db.transaction({ asEngine: true }, async (session) => {
    const known = await resumable(session, run);
    const batch =
      known ??
      (await beginBatch(session, binding, { kind: 'full', reportId: run.reportId, actor, phase }));
    await takeLead(session, batch.id, { execution, workflow: 'cutover' }, actor);
    return { batch, resumed: known !== undefined };
  });
  const now = () => db.transaction({ asEngine: true, readOnly: true }, readStage);
  const { stage } = await now();
  if (stage === 'legacy' || stage === 'copying' || stage === 'mirrored')
    await flags.write({ migrationInProgress: true });
  if (stage === 'legacy')
    await flipTo(db, binding, { to: 'copying', phase, actor, batchId: batch.id, deadline });
  const reached = (await now()).stage;
  const ranges = reached === 'copying' ? await planCopy(db, binding, batch.id, actor) : 0;
  return { batchId: batch.id, resumed, stage: reached, ranges };
};
