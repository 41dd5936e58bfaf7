import {
  assertNotStuck,
  deleteBatch,
  drain,
  endBatch,
  proveRolledBack,
  readBatch,
  readLead,
  readRowsDeleted,
  recordEvent,
} from '@unified-kits/data';
import { RollbackRefused } from '@unified-kits/domain';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { bound, boundForTheWayBack } from '../runtime/bound.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { RollbackRun } from '../runtime/run.ts';

/** Repairs what a comparison found, from the store that is authoritative. */
export const repair = async ({ execution, batchId }: RollbackRun, call: Call) => {
  await enterPhase(call, execution, batchId, { guarded: false });
  const { done, synced, stuck } = await drain(call.db, await bound(call), call.deadline);
  if (done && stuck > 0) await assertNotStuck(call.db);
  return { done, synced };
};

/** Deletes the batch's rows from `kits`, until none is left or the deadline is near. */
export const remove = async ({ execution, actor, batchId }: RollbackRun, call: Call) => {
  const { db, phase, deadline } = call;
  await enterPhase(call, execution, batchId, { guarded: false });
  const { rows, done } = await deleteBatch(
    db,
    await boundForTheWayBack(call, 'legacy'),
    batchId,
    deadline,
  );
  if (rows > 0)
    await db.transaction({ asEngine: true }, (session) =>
      recordEvent(session, { phase, action: 'rows-deleted', actor, batchId, detail: { rows } }),
    );
  return { rows, done };
};

/**
 * Proves that nothing of the batch is left, ends it, and switches the guard off.
 *
 * @throws {RollbackRefused} naming what is left.
 */
export const prove = async ({ execution, actor, batchId }: RollbackRun, call: Call) => {
  const { db, flags, phase } = call;
  await enterPhase(call, execution, batchId, { guarded: false });
  const binding = await boundForTheWayBack(call, 'legacy');
  const summary = await db.transaction({ asEngine: true }, async (session) => {
    const proof = await proveRolledBack(session, binding, batchId);
    const { rowsLeft, backlogLeft, suspendedTriggers, triggersOn } = proof;
    if (proof.stage !== 'legacy' || rowsLeft + backlogLeft + suspendedTriggers + triggersOn > 0)
      throw new RollbackRefused(
        `batch ${batchId} is not rolled back: ${JSON.stringify(proof)}. Start the rollback again.`,
      );
    await recordEvent(session, {
      phase,
      action: 'rollback-proved',
      actor,
      batchId,
      detail: { ...proof },
    });
    await endBatch(session, batchId, 'rolled-back', actor, phase);
    const batch = await readBatch(session, batchId);
    return {
      batchId,
      stage: proof.stage,
      outcome: batch.outcome,
      rowsDeleted: await readRowsDeleted(session, batchId),
      proof,
    };
  });
  await flags.write({ migrationInProgress: false });
  return summary;
};

/** A rollback that stopped: production works in whichever stage holds, so workers go on, and somebody is told. */
export const alarm = async (
  { execution, actor, batchId }: RollbackRun,
  failure: { readonly Error: string },
  call: Call,
) => {
  const { db, flags, phase } = call;
  const leads = await db.transaction({ asEngine: true }, async (session) => {
    if ((await readLead(session, batchId))?.execution !== execution) return false;
    await recordEvent(session, {
      phase,
      action: 'alarm',
      actor,
      batchId,
      detail: { error: failure.Error, resume: 'start the rollback again' },
    });
    return true;
  });
  if (leads) await flags.write({ migrationInProgress: false });
  return { settled: leads };
};
