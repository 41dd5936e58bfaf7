import {
  flagsOfStage,
  IllegalWish,
  STAGE_DEFINITIONS,
  type Stage,
  type StoreFlags,
  stagePath,
  wishedStage,
} from '@unified-kits/domain';

/** What the database says about the stage that holds. */
export interface Standing {
  readonly stage: Stage;
  /** Whether a finished parity run of this stage's epoch found no mismatch. */
  readonly parityExact: boolean;
  /** Keys whose mirroring failed. */
  readonly failedKeys: number;
}

export type Verdict =
  | { readonly kind: 'holds' }
  | { readonly kind: 'step'; readonly to: Stage }
  | {
      readonly kind: 'put-back';
      readonly flags: StoreFlags;
      readonly reason: string;
      /** Whether somebody must be told at once. */
      readonly alarm: boolean;
    };

/** The flags of the stage that holds; reads stay on `kits` only while it is proved to be in step. */
export const flagsThatHold = (
  wish: StoreFlags,
  { stage, parityExact, failedKeys }: Standing,
): StoreFlags => flagsOfStage(stage, wish.unifiedReads && parityExact && failedKeys === 0);

/** From `mirrored` the dual-write window is on the way only of a wish that names it. */
const nextStep = (from: Stage, to: Stage): Stage | undefined => stagePath(from, to)[0];

/**
 * What to do about a wish: nothing, one flip towards it, or put the flags back to what holds.
 *
 * The workflows lead where flags cannot say what is meant: below `mirrored`, and out of `closed`, where
 * nothing has noted what changed.
 */
export const judgeWish = (wish: StoreFlags, standing: Standing): Verdict => {
  const { stage, parityExact, failedKeys } = standing;
  const refuse = (reason: string, alarm = false): Verdict => ({
    kind: 'put-back',
    flags: flagsThatHold(wish, standing),
    reason,
    alarm,
  });
  const early = stage === 'legacy' || stage === 'copying';
  if (early && (wish.unifiedReads || wish.unifiedWrites))
    return refuse(
      `in stage "${stage}" kits is not in step yet: the cutover workflow leads to "mirrored", then the flags do`,
    );
  let wished: Stage;
  try {
    wished = wishedStage(wish, stage);
  } catch (error) {
    if (!(error instanceof IllegalWish)) throw error;
    return refuse(error.message);
  }
  if (stage === 'closed' && wished !== 'closed')
    return refuse(
      'the migration is closed, so nothing noted what changed since: start the rollback workflow',
    );
  // Before any flip: authority must not move while a read may already be stale.
  if (stage === 'mirrored' && wish.unifiedReads && failedKeys > 0)
    return refuse(
      `${failedKeys} keys could not be mirrored, so reads of kits would be stale: correct these rows, then set the flags again`,
      true,
    );
  if (stage === 'mirrored' && wish.unifiedReads && !parityExact)
    return refuse('parity has not been proved exact since this stage began');
  const to = nextStep(stage, wished);
  return to === undefined ? { kind: 'holds' } : { kind: 'step', to };
};

/** Whether a stage's keys must be drained before it is left for another. */
export const drainsBefore = (from: Stage, to: Stage): boolean =>
  STAGE_DEFINITIONS[from].drains !== 'nothing' && to !== 'legacy' && to !== 'closed';
