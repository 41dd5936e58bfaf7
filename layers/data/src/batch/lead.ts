import { BatchActive } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { recordEvent } from './record-event.ts';

/** Who drives a batch: an execution of a workflow. */
export interface Lead {
  readonly execution: string;
  readonly workflow: 'cutover' | 'rollback';
}

const LATEST = `select detail ->> 'execution' as execution, detail ->> 'workflow' as workflow
  from migration.event where batch_id = $1 and action = 'lead-taken' order by id desc limit 1`;

/** The execution that drives a batch now. */
export const readLead = async (session: Session, batchId: string): Promise<Lead | undefined> =>
  (await session.query(LATEST, [batchId])).rows[0];

/**
 * Makes an execution the one that drives a batch: a rollback takes it from the cutover that is still
 * monitoring, a resumed cutover from the one that died. Rejected: a lease with a clock, which would keep
 * the operator of a dead execution waiting.
 */
export const takeLead = async (
  session: Session,
  batchId: string,
  lead: Lead,
  actor: string,
): Promise<void> => {
  const now = await readLead(session, batchId);
  if (now?.execution === lead.execution) return;
  await recordEvent(session, {
    phase: lead.workflow,
    action: 'lead-taken',
    actor,
    batchId,
    detail: { ...lead },
  });
};

/** @throws {BatchActive} when another execution has taken the batch over. */
export const assertLead = async (
  session: Session,
  batchId: string,
  execution: string,
): Promise<void> => {
  const now = await readLead(session, batchId);
  if (now?.execution !== execution)
    throw new BatchActive(
      `batch ${batchId} is driven by ${now === undefined ? 'no execution' : `the ${now.workflow} ${now.execution}`}, not by ${execution}: this one ends, the other goes on`,
    );
};
