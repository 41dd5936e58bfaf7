import {
  activeBatch,
  type Batch,
  installTracking,
  readBatch,
  readStage,
  reopenBatch,
  type Session,
  takeLead,
} from '@unified-kits/data';
import { BatchNotFound, InvalidInput, RollbackRefused } from '@unified-kits/domain';
import { z } from 'zod';
import type { Call } from '../runtime/phase-handler.ts';
import { laneNumbers, type RollbackRun, rollbackInput } from '../runtime/run.ts';

/**
 * The batch to roll back: the one named, else the active one, else the one that stage `closed` rests on.
 *
 * @throws {BatchNotFound} when there is none.
 * @throws {RollbackRefused} when another batch is in the way.
 */
const findBatch = async (session: Session, wanted: string | undefined): Promise<Batch> => {
  const { stage, batchId } = await readStage(session);
  const active = await activeBatch(session);
  const id = wanted ?? active?.id ?? batchId ?? undefined;
  if (id === undefined) throw new BatchNotFound('no batch was ever begun: nothing to roll back');
  const batch = await readBatch(session, id);
  if (active !== undefined && active.id !== id)
    throw new RollbackRefused(
      `batch ${active.id} of ${active.actor} is active: roll that one back, or finish it, before batch ${id}`,
    );
  if (batch.outcome === 'closed' && (stage !== 'closed' || batchId !== id))
    throw new RollbackRefused(
      `batch ${id} was closed, but stage "${stage}" rests on batch ${batchId ?? 'none'}: only the batch that the stage rests on can be rolled back`,
    );
  return batch;
};

/** Finds the batch, takes it over from whoever drives it, opens it again where it was closed; the guard is on. */
export const begin = async (
  execution: string,
  input: unknown,
  call: Call,
): Promise<{ readonly run: RollbackRun; readonly stage: string }> => {
  const parsed = rollbackInput.safeParse(input);
  if (!parsed.success)
    throw new InvalidInput(`input of the rollback: ${z.prettifyError(parsed.error)}`);
  const { actor, batchId, lanes } = parsed.data;
  const { db, flags, phase } = call;
  await installTracking(db);
  const found = await db.transaction({ asEngine: true }, async (session) => {
    const batch = await findBatch(session, batchId);
    await reopenBatch(session, batch.id, actor, phase);
    await takeLead(session, batch.id, { execution, workflow: 'rollback' }, actor);
    return { batch, stage: (await readStage(session)).stage };
  });
  if (found.batch.outcome !== 'rolled-back') await flags.write({ migrationInProgress: true });
  return {
    run: { execution, actor, batchId: found.batch.id, laneNumbers: laneNumbers(lanes) },
    stage: found.stage,
  };
};
