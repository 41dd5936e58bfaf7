import {
  endBatch,
  readBatch,
  readFlips,
  readLastProof,
  readPhaseSeconds,
  readRowsBySource,
  readStage,
  recordEvent,
} from '@unified-kits/data';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import { flipTo } from '../runtime/flip-stage.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { Run } from '../runtime/run.ts';

/** The last flip, and the end of the batch. */
export const close = async (run: Run, batchId: string, call: Call) => {
  const { db, phase, deadline } = call;
  const { actor } = run;
  await enterPhase(call, run.execution, batchId, { guarded: false });
  await flipTo(db, await bound(call), { to: 'closed', phase, actor, deadline });
  await db.transaction({ asEngine: true }, (session) =>
    endBatch(session, batchId, 'closed', actor, phase),
  );
  return { done: true, stage: 'closed' };
};

/** What the migration came to: recorded with the batch, and the output of the execution. */
export const summary = async (run: Run, batchId: string, call: Call) =>
  call.db.transaction({ asEngine: true }, async (session) => {
    const stage = await readStage(session);
    const batch = await readBatch(session, batchId);
    const closing = {
      batchId,
      stage: stage.stage,
      outcome: batch.outcome,
      rows: await readRowsBySource(session, batchId),
      parity: (await readLastProof(session, batchId)) ?? null,
      flips: await readFlips(session, batchId),
      phases: await readPhaseSeconds(session, batchId),
      startedAt: batch.startedAt.toISOString(),
    };
    await recordEvent(session, {
      phase: call.phase,
      action: 'summary',
      actor: run.actor,
      batchId,
      detail: closing,
    });
    return closing;
  });
