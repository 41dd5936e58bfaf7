import {
  beginParity,
  exclusively,
  finishParity,
  parityLane,
  readMismatches,
  readParityProof,
  rehearse,
} from '@unified-kits/data';
import { BatchActive, ParityMismatch } from '@unified-kits/domain';
import { z } from 'zod';
import { enterPhase, readSituation } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { type Call, phaseHandler } from '../runtime/phase-handler.ts';
import { type Run, runSchema } from '../runtime/run.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';

/** What both workflows hand on. */
const run = z.object({ execution: z.string(), actor: z.string() });
type AnyRun = z.output<typeof run>;
const batchId = z.string();
const runId = z.string().nullable();
const event = z.discriminatedUnion('action', [
  z.object({ action: z.literal('rehearse'), run: runSchema }),
  z.object({ action: z.literal('begin-parity'), run, batchId }),
  z.object({ action: z.literal('compare'), run, batchId, runId, lane: z.int() }),
  z.object({ action: z.literal('finish-parity'), run, batchId, runId, attempt: z.int() }),
]);

/** Mismatches are repaired and compared again; what is still there after that needs a person. */
const MOST_ATTEMPTS = 4;

const rehearsed = async (run: Run, call: Call) => {
  const { db } = call;
  const { stage, active } = await db.transaction({ asEngine: true, readOnly: true }, readSituation);
  if (stage.stage !== 'legacy' || active?.kind === 'full') return { rehearsed: false, rows: 0 };
  const binding = await bound(call);
  // A canary that another execution is still at would be taken for one that was left behind.
  const result = await exclusively(db, 'rehearsal', 1_000, () =>
    rehearse(db, binding, {
      rows: run.rehearsalRows,
      actor: run.actor,
      reportId: run.reportId,
    }),
  );
  if (result === undefined)
    throw new BatchActive('another execution is rehearsing: one cutover at a time');
  return { rehearsed: true, rows: result.rows, changedByOthers: result.changedByOthers };
};

/** No run where it would prove nothing new: there is a proof in this epoch, or legacy is not in step by design. */
const begun = async (run: AnyRun, batchId: string, call: Call) => {
  const { db, phase } = call;
  const stage = await enterPhase(call, run.execution, batchId, { guarded: false });
  const proof = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
    readParityProof(session, stage),
  );
  const proven =
    stage.stage === 'unified' ? proof !== undefined : proof !== undefined && proof.mismatched === 0;
  if (proven || stage.stage === 'legacy' || stage.stage === 'closed')
    return { runId: null, stage: stage.stage };
  const runId = await beginParity(db, await bound(call), { phase, actor: run.actor });
  return { runId, stage: stage.stage };
};

const finished = async (run: AnyRun, runId: string | null, attempt: number, call: Call) => {
  const { db, phase } = call;
  if (runId === null) return { done: true, ok: true, attempt, compared: 0, mismatched: 0 };
  const { compared, mismatched, done } = await finishParity(db, runId, { phase, actor: run.actor });
  if (done) {
    const metrics = serviceMetrics(phase);
    metrics.count(METRICS.ParityCompared, compared);
    metrics.count(METRICS.ParityMismatches, mismatched);
  }
  if (done && mismatched > 0 && attempt + 1 >= MOST_ATTEMPTS) {
    const found = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
      readMismatches(session, runId),
    );
    throw new ParityMismatch(
      `${mismatched} of ${compared} rows differ after ${attempt} repairs: ${found.map(({ source, legacyId, columns }) => `${source} ${legacyId} (${columns.join(', ')})`).join('; ')}. See migration.parity_mismatch, run ${runId}.`,
    );
  }
  return {
    done,
    ok: done && mismatched === 0,
    attempt: done ? attempt + 1 : attempt,
    compared,
    mismatched,
  };
};

/** Phase 6: the rehearsal, and the proof that both stores hold the same. */
export const handler = phaseHandler('phase6-validation', event, async (asked, call) => {
  switch (asked.action) {
    case 'rehearse':
      return rehearsed(asked.run, call);
    case 'begin-parity':
      return begun(asked.run, asked.batchId, call);
    case 'compare':
      await enterPhase(call, asked.run.execution, asked.batchId, { guarded: false });
      return asked.runId === null
        ? { done: true }
        : parityLane(call.db, await bound(call), asked.runId, call.deadline);
    case 'finish-parity':
      return finished(asked.run, asked.runId, asked.attempt, call);
  }
});
