import {
  assertNotStuck,
  type Binding,
  type Database,
  drain,
  type FlipResult,
  flip,
  readBacklog,
  readStage,
  recordEvent,
} from '@unified-kits/data';
import { FlipRefused, IllegalTransition, type Stage } from '@unified-kits/domain';
import { drainsBefore } from './judge-wish.ts';
import { METRICS } from './metric-names.ts';
import { serviceMetrics } from './service-metrics.ts';

export interface FlipOrder {
  readonly to: Stage;
  readonly phase: string;
  readonly actor: string;
  /** Only for the flip to `copying`. */
  readonly batchId?: string | undefined;
  /** Milliseconds of `Date.now()`. */
  readonly deadline: number;
}

/** A busy system notes keys between the last drain and the lock; the flip refuses more than a few. */
const MOST_TRIES = 5;

const stageNow = async (db: Database): Promise<Stage> =>
  (await db.transaction({ asEngine: true, readOnly: true }, readStage)).stage;

const record = (db: Database, { phase, actor, batchId }: FlipOrder, result: FlipResult) =>
  db.transaction({ asEngine: true }, async (session) => {
    const { from, to, epoch, writersHeldMs, heldInVainMs, attempts, drained } = result;
    await recordEvent(session, {
      phase,
      action: 'flip-held',
      actor,
      batchId: batchId ?? (await readStage(session)).batchId ?? undefined,
      detail: { from, to, epoch, writersHeldMs, heldInVainMs, attempts, drained },
    });
  });

/**
 * Drains what the stage has noted, then flips to a neighbour. Whoever else makes the same flip first has
 * made it for both.
 *
 * @returns what happened; `unfinished` when the deadline came before the backlog was empty.
 * @throws {BacklogStuck} naming keys that cannot be brought into step.
 * @throws {FlipRefused} when a precondition does not hold.
 * @throws {FlipBlocked} when the locks cannot be had.
 */
export const flipTo = async (
  db: Database,
  binding: Binding,
  order: FlipOrder,
): Promise<FlipResult | 'already' | 'unfinished'> => {
  for (let tries = 1; ; tries += 1) {
    const from = await stageNow(db);
    if (from === order.to) return 'already';
    if (drainsBefore(from, order.to)) {
      const { done, stuck } = await drain(db, binding, order.deadline);
      if (!done) return 'unfinished';
      if (stuck > 0) await assertNotStuck(db);
    }
    try {
      const { to, phase, actor, batchId } = order;
      const result = await flip(db, binding, {
        to,
        phase,
        actor,
        batchId,
        vacuumWaitMs: Math.max(0, Math.min(60_000, order.deadline - Date.now())),
      });
      serviceMetrics(phase).duration(METRICS.FlipHeld, result.writersHeldMs);
      await record(db, order, result);
      return result;
    } catch (error) {
      if (error instanceof IllegalTransition && (await stageNow(db)) === order.to) return 'already';
      if (!(error instanceof FlipRefused) || tries >= MOST_TRIES) throw error;
      const { noted } = await db.transaction({ asEngine: true, readOnly: true }, readBacklog);
      if (noted === 0) throw error;
    }
  }
};
