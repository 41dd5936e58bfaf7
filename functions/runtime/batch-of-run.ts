import {
  activeBatch,
  assertLead,
  type Batch,
  readBatch,
  readStage,
  type Session,
  type StageRow,
} from '@unified-kits/data';
import { BatchActive, BatchNotFound, GuardRequired, STAGE_DEFINITIONS } from '@unified-kits/domain';
import type { Call } from './phase-handler.ts';
import type { Run } from './run.ts';

export interface Situation {
  readonly stage: StageRow;
  readonly active: Batch | undefined;
}

export const readSituation = async (session: Session): Promise<Situation> => ({
  stage: await readStage(session),
  active: await activeBatch(session),
});

/**
 * The batch that a cutover goes on with, or undefined when it begins one. The operator who began a batch
 * resumes it by starting again; another one must name it, so that nobody takes over a colleague's by
 * accident. The execution that is thus overtaken ends at its next step: see `takeLead`.
 *
 * @throws {BatchActive} when the active batch is another operator's, or not the one named.
 * @throws {BatchNotFound} when the batch named cannot be gone on with.
 */
export const resumable = async (
  session: Session,
  run: Pick<Run, 'batchId' | 'actor'>,
): Promise<Batch | undefined> => {
  const { stage, active } = await readSituation(session);
  if (active?.kind === 'full') {
    if (run.batchId !== null && run.batchId !== active.id)
      throw new BatchActive(
        `batch ${active.id} of ${active.actor} is active, not ${run.batchId}: finish it, or roll it back, first`,
      );
    if (run.batchId === null && run.actor !== active.actor)
      throw new BatchActive(
        `batch ${active.id} of ${active.actor} is active: to take it over start again with "batchId": "${active.id}"`,
      );
    if (stage.stage === 'legacy' && stage.batchId === active.id)
      throw new BatchActive(
        `batch ${active.id} is half rolled back: finish the rollback, then begin another`,
      );
    return active;
  }
  // A cutover that died after its last flip is finished by starting it again.
  if (stage.stage === 'closed' && stage.batchId !== null) {
    if (run.batchId === null || run.batchId === stage.batchId)
      return readBatch(session, stage.batchId);
  }
  if (run.batchId !== null)
    throw new BatchNotFound(
      `batch ${run.batchId} is not active: leave "batchId" out to begin another`,
    );
  if (stage.stage !== 'legacy')
    throw new BatchNotFound(
      `stage "${stage.stage}" holds without an active batch: nothing can be resumed`,
    );
  return undefined;
};

/**
 * The stage, after making sure that this execution still drives the batch and, where the phase needs it,
 * that the guard is on. An operator stops a migration by switching the guard off.
 *
 * @throws {BatchActive} when another execution has taken over.
 * @throws {GuardRequired} when the guard is off.
 */
export const enterPhase = async (
  { db, flags }: Call,
  execution: string,
  batchId: string,
  { guarded }: { guarded: boolean },
): Promise<StageRow> => {
  const stage = await db.transaction({ asEngine: true, readOnly: true }, async (session) => {
    await assertLead(session, batchId, execution);
    return readStage(session);
  });
  // Once `kits` is authoritative workers are at work again, and the guard is off.
  const matters = guarded && STAGE_DEFINITIONS[stage.stage].writes === 'legacy';
  if (matters && !(await flags.guard()))
    throw new GuardRequired(
      `MIGRATION_IN_PROGRESS is false, so batch ${batchId} does not go on: start the cutover again to resume it`,
    );
  return stage;
};
