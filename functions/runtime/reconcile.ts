import {
  type Binding,
  type Database,
  exclusively,
  readBacklog,
  readParityProof,
  readStage,
  recordEvent,
} from '@unified-kits/data';
import { BacklogStuck, FlipRefused, type Stage, type StoreFlags } from '@unified-kits/domain';
import type { FlagStore } from './flag-store.ts';
import { flipTo } from './flip-stage.ts';
import { flagsThatHold, judgeWish, type Standing } from './judge-wish.ts';
import { METRICS } from './metric-names.ts';
import { serviceMetrics } from './service-metrics.ts';

export interface Reconciliation {
  /** The stage that holds now. */
  readonly stage: Stage;
  /** Whether the flags and the stage agree; false when the deadline left work for the next call. */
  readonly done: boolean;
  /** Stages that this call flipped to. */
  readonly flips: readonly Stage[];
  /** Why flags were put back, if they were. */
  readonly putBack: readonly string[];
}

export interface ReconcileOptions {
  readonly db: Database;
  readonly binding: Binding;
  readonly flags: FlagStore;
  readonly phase: string;
  readonly actor: string;
  /** Milliseconds of `Date.now()`. */
  readonly deadline: number;
}

const standingNow = (db: Database): Promise<Standing & { batchId: string | null }> =>
  db.transaction({ asEngine: true, readOnly: true }, async (session) => {
    const row = await readStage(session);
    const proof = await readParityProof(session, row);
    const { failed } = await readBacklog(session);
    return {
      stage: row.stage,
      batchId: row.batchId,
      parityExact: proof?.mismatched === 0,
      failedKeys: failed,
    };
  });

const sameFlags = (a: StoreFlags, b: StoreFlags): boolean =>
  a.unifiedReads === b.unifiedReads &&
  a.unifiedWrites === b.unifiedWrites &&
  a.dualWrite === b.dualWrite;

/** A call that waits longer for another's long drain would only pile up with those that follow it. */
const MOST_WAIT_MS = 20_000;

/** Returns false when the wish has changed meanwhile: a newer one is never overwritten by an answer to an older. */
const putBack = async (
  { db, flags, phase, actor }: ReconcileOptions,
  wish: StoreFlags,
  back: StoreFlags,
  { reason, alarm, batchId }: { reason: string; alarm: boolean; batchId: string | null },
): Promise<boolean> => {
  if (!sameFlags(wish, await flags.read())) return false;
  const written = await flags.write(back);
  await db.transaction({ asEngine: true }, (session) =>
    recordEvent(session, {
      phase,
      action: alarm ? 'flag-put-back-alarm' : 'flag-put-back',
      actor,
      batchId: batchId ?? undefined,
      detail: { reason, flags: written, alarm },
    }),
  );
  serviceMetrics(phase).count(METRICS.FlagPutBack);
  return true;
};

const reconcileAlone = async (options: ReconcileOptions): Promise<Reconciliation> => {
  const { db, binding, flags, phase, actor, deadline } = options;
  const flips: Stage[] = [];
  const reasons: string[] = [];
  for (;;) {
    const wish = await flags.read();
    const standing = await standingNow(db);
    const { stage, batchId } = standing;
    const verdict = judgeWish(wish, standing);
    if (verdict.kind === 'holds') return { stage, done: true, flips, putBack: reasons };
    if (Date.now() >= deadline) return { stage, done: false, flips, putBack: reasons };
    if (verdict.kind === 'put-back') {
      if (await putBack(options, wish, verdict.flags, { ...verdict, batchId }))
        reasons.push(verdict.reason);
      continue;
    }
    try {
      const result = await flipTo(db, binding, { to: verdict.to, phase, actor, deadline });
      if (result === 'unfinished') return { stage, done: false, flips, putBack: reasons };
      if (result !== 'already') flips.push(verdict.to);
    } catch (error) {
      if (!(error instanceof FlipRefused) && !(error instanceof BacklogStuck)) throw error;
      const now = await standingNow(db);
      // Somebody else's flip came between; what was refused is not what would be asked for now.
      if (now.stage !== stage) continue;
      const back = flagsThatHold(wish, now);
      if (await putBack(options, wish, back, { reason: error.message, alarm: false, batchId }))
        reasons.push(error.message);
    }
  }
};

/**
 * Brings the stage and the flags together: flips, one neighbour after the other, to the stage that the
 * flags ask for, or puts back the flags that ask for what cannot be, and says why. It reads the flags
 * anew before each step, so the last wish counts, and only one reconciliation works at a time.
 *
 * @throws {FlipBlocked} when a flip's locks cannot be had: the wish stands, the next call tries again.
 * @throws {FlagsUnreadable} when the Parameter Store does not answer.
 */
export const reconcile = async (options: ReconcileOptions): Promise<Reconciliation> => {
  const { db, deadline } = options;
  const wait = Math.min(MOST_WAIT_MS, deadline - Date.now());
  const result = await exclusively(db, 'reconcile', wait, () => reconcileAlone(options));
  if (result !== undefined) return result;
  const { stage } = await standingNow(db);
  return { stage, done: false, flips: [], putBack: [] };
};
