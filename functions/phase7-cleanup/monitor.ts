import {
  beginParity,
  compactBacklog,
  drain,
  finishParity,
  parityLane,
  readBacklog,
  readMismatches,
  readRefusedBefore,
  readRefusedWrites,
  recordEvent,
} from '@unified-kits/data';
import { MonitorBreach, STAGE_DEFINITIONS } from '@unified-kits/domain';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { bound } from '../runtime/bound.ts';
import type { Call } from '../runtime/phase-handler.ts';
import type { Run } from '../runtime/run.ts';

/** Ranges of each source that a check compares; over a window of hundreds most of the table is seen. */
const SAMPLED_RANGES = 2;

/**
 * One check of the monitoring window: who is authoritative, what the mirror could not do, a sample of both
 * stores, and how many writes the fence refused since the last check: they fade as clients refresh their
 * flags, and cost each a round trip, so they are told and break nothing.
 *
 * @throws {MonitorBreach} saying what was seen, by key.
 */
export const monitor = async (run: Run, batchId: string, checks: number, call: Call) => {
  const { db, phase, deadline } = call;
  const { stage } = await enterPhase(call, run.execution, batchId, { guarded: false });
  const answer = { stage, checks: checks + 1, done: checks + 1 >= run.monitor.checks };
  if (stage === 'closed')
    return { ...answer, done: true, backlog: 0, failed: 0, compared: 0, refused: 0 };
  if (STAGE_DEFINITIONS[stage].writes !== 'kits')
    throw new MonitorBreach(
      `stage "${stage}" holds: during the monitoring the writes were switched back to the legacy tables`,
    );
  const binding = await bound(call);
  const { noted, failed, refusedTotal, refused } = await db.transaction(
    { asEngine: true },
    async (session) => {
      await compactBacklog(session);
      const total = await readRefusedWrites(session);
      const before = (await readRefusedBefore(session, batchId)) ?? total;
      return { ...(await readBacklog(session)), refusedTotal: total, refused: total - before };
    },
  );
  if (stage === 'dual-write' && noted > 0) {
    const { stuck } = await drain(db, binding, deadline);
    if (stuck > 0)
      throw new MonitorBreach(
        `${stuck} keys could not be mirrored into the legacy tables: see migration.pending_sync. Correct these rows in kits, then start the cutover again.`,
      );
  }
  const runId = await beginParity(db, binding, { phase, actor: run.actor, sample: SAMPLED_RANGES });
  await parityLane(db, binding, runId, deadline);
  const { compared, mismatched } = await finishParity(db, runId, {
    phase,
    actor: run.actor,
    sample: true,
  });
  const seen = { backlog: noted, failed, compared, refused };
  await db.transaction({ asEngine: true }, async (session) => {
    if (mismatched === 0)
      return recordEvent(session, {
        phase,
        action: 'monitored',
        actor: run.actor,
        batchId,
        detail: { ...answer, ...seen, refusedTotal },
      });
    const found = await readMismatches(session, runId);
    throw new MonitorBreach(
      `${mismatched} of ${compared} sampled rows differ: ${found.map(({ source, legacyId, columns }) => `${source} ${legacyId} (${columns.join(', ')})`).join('; ')}. They are noted for the drain; find out who wrote them, then start the cutover again.`,
    );
  });
  return { ...answer, ...seen };
};
