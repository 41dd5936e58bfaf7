import {
  assertUnreferenced,
  readParityProof,
  readStage,
  type StageRow,
  wasClosed,
} from '@unified-kits/data';
import { type Flags, FlipRefused, STAGE_DEFINITIONS, type Stage } from '@unified-kits/domain';
import { enterPhase } from '../runtime/batch-of-run.ts';
import { boundForTheWayBack } from '../runtime/bound.ts';
import { flipTo } from '../runtime/flip-stage.ts';
import type { Call } from '../runtime/phase-handler.ts';
import { reconcile } from '../runtime/reconcile.ts';
import type { RollbackRun } from '../runtime/run.ts';

/** What a stage needs before the next step back. */
type Step =
  | { readonly kind: 'done' }
  | { readonly kind: 'parity' }
  /** The workflow leads: these stages cannot be told apart, or reached, by flags. */
  | { readonly kind: 'flip'; readonly to: Stage }
  | { readonly kind: 'flags'; readonly flags: Partial<Flags>; readonly to: Stage };

/**
 * The way back, one neighbour at a time. Parity is proved in `dual-write`, before authority is given back:
 * there a difference is repaired from `kits`, which has every acknowledged write. In `mirrored` the same
 * repair would go the other way and overwrite one that was lost.
 */
const nextStep = async (call: Call, row: StageRow): Promise<Step> => {
  const { stage, batchId } = row;
  switch (stage) {
    case 'legacy':
      return { kind: 'done' };
    case 'copying':
      return { kind: 'flip', to: 'legacy' };
    case 'mirrored':
      return { kind: 'flip', to: 'legacy' };
    case 'closed':
      return { kind: 'flip', to: 'unified' };
    case 'unified':
    case 'dual-write': {
      const { proof, closed } = await call.db.transaction(
        { asEngine: true, readOnly: true },
        async (session) => ({
          proof: await readParityProof(session, row),
          closed: batchId !== null && (await wasClosed(session, batchId)),
        }),
      );
      if (stage === 'unified')
        return closed && proof === undefined
          ? { kind: 'parity' }
          : { kind: 'flags', flags: { dualWrite: true }, to: 'dual-write' };
      return proof?.mismatched === 0
        ? {
            kind: 'flags',
            flags: { unifiedWrites: false, unifiedReads: false, dualWrite: false },
            to: 'mirrored',
          }
        : { kind: 'parity' };
    }
  }
};

/**
 * Where both stores are in step a key can point at either, so here is where it must be turned round: in
 * `unified` the legacy tables lack the kits born there, in `legacy` the rows it points at are about to go.
 */
const TURN_REFERENCES_BEFORE: readonly Stage[] = ['dual-write', 'mirrored', 'copying'];

/**
 * Steps back until stage `legacy`, until a comparison is needed first, or until the deadline is near.
 *
 * @throws {RollbackRefused} when foreign keys point at `kits`, before authority is given back.
 * @throws {FlipRefused} when the flags of a step were put back, with the reason.
 * @throws {BacklogStuck} naming keys that the legacy tables refuse: correct them in `kits` and roll back again.
 */
export const reverse = async (run: RollbackRun, call: Call) => {
  const { db, flags, phase, deadline } = call;
  const { actor, batchId } = run;
  const entered = await enterPhase(call, run.execution, batchId, { guarded: false });
  const binding = await boundForTheWayBack(call, STAGE_DEFINITIONS[entered.stage].writes);
  for (;;) {
    const row = await db.transaction({ asEngine: true, readOnly: true }, readStage);
    const answer = { stage: row.stage, needsParity: false };
    // The stage rests on another batch: this one was rolled back before.
    if (row.batchId !== batchId && row.stage !== 'legacy') return { ...answer, done: true };
    const step = await nextStep(call, row);
    if (step.kind === 'done') return { ...answer, done: true };
    if (step.kind === 'parity') return { ...answer, done: false, needsParity: true };
    if (Date.now() >= deadline) return { ...answer, done: false };
    if (TURN_REFERENCES_BEFORE.includes(row.stage))
      await db.transaction({ readOnly: true }, (session) => assertUnreferenced(session, binding));
    if (step.kind === 'flip') {
      if (step.to === 'legacy')
        await flags.write({ unifiedWrites: false, unifiedReads: false, dualWrite: false });
      const flipped = await flipTo(db, binding, { to: step.to, phase, actor, deadline });
      if (flipped === 'unfinished') return { ...answer, done: false };
      continue;
    }
    await flags.write(step.flags);
    const { putBack, stage } = await reconcile({
      db,
      binding,
      flags,
      phase,
      actor,
      deadline,
    });
    if (stage !== step.to && putBack[0] !== undefined) throw new FlipRefused(putBack[0]);
    if (stage === row.stage) return { ...answer, done: false };
  }
};
