import { BatchActive, BatchNotFound } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import { recordEvent } from './record-event.ts';

export interface Batch {
  readonly id: string;
  readonly kind: 'canary' | 'full';
  readonly reportId: string | null;
  readonly actor: string;
  readonly startedAt: Date;
  readonly copiedAt: Date | null;
  readonly endedAt: Date | null;
  readonly outcome: 'closed' | 'rolled-back' | null;
}

const COLUMNS = `id, kind, report_id as "reportId", actor, started_at as "startedAt", copied_at as "copiedAt", ended_at as "endedAt", outcome`;

/**
 * Begins a batch. The database decides between two operators: only one batch can be active.
 *
 * @throws {BatchActive} naming the batch that is.
 */
export const beginBatch = async (
  session: Session,
  binding: Binding,
  {
    kind,
    reportId,
    actor,
    phase,
  }: { kind: Batch['kind']; reportId: string | null; actor: string; phase: string },
): Promise<Batch> => {
  await session.query('savepoint begin_batch');
  try {
    const { rows } = await session.query(
      `insert into migration.batch (kind, report_id, mapping_digest, schema_digest, actor) values ($1, $2, $3, $4, $5) returning ${COLUMNS}`,
      [kind, reportId, binding.mappingDigest, binding.schemaDigest, actor],
    );
    await recordEvent(session, {
      phase,
      action: 'batch-begun',
      actor,
      batchId: rows[0].id,
      detail: { kind, reportId },
    });
    return rows[0];
  } catch (error) {
    if (!hasSqlState(error, SQLSTATE.uniqueViolation)) throw error;
    await session.query('rollback to savepoint begin_batch');
    const active = await activeBatch(session);
    throw new BatchActive(
      `${active?.kind ?? 'a'} batch ${active?.id ?? ''} of ${active?.actor ?? 'another operator'} is active: resume it, or roll it back, before another begins`,
      { cause: error },
    );
  }
};

/** The active batch, if there is one. */
export const activeBatch = async (session: Session): Promise<Batch | undefined> =>
  (await session.query(`select ${COLUMNS} from migration.batch where ended_at is null`)).rows[0];

/** @throws {BatchNotFound} when there is no such batch. */
export const readBatch = async (session: Session, id: string): Promise<Batch> => {
  const batch = (await session.query(`select ${COLUMNS} from migration.batch where id = $1`, [id]))
    .rows[0];
  if (batch === undefined) throw new BatchNotFound(`there is no batch ${id}`);
  return batch;
};

/** Ends a batch, once; a second call changes nothing. */
export const endBatch = async (
  session: Session,
  id: string,
  outcome: 'closed' | 'rolled-back',
  actor: string,
  phase: string,
): Promise<void> => {
  const { rowCount } = await session.query(
    'update migration.batch set ended_at = now(), outcome = $2 where id = $1 and ended_at is null',
    [id, outcome],
  );
  if (rowCount === 1)
    await recordEvent(session, { phase, action: `batch-${outcome}`, actor, batchId: id });
};

/** Reopens a closed batch, so that it can be rolled back. */
export const reopenBatch = async (
  session: Session,
  id: string,
  actor: string,
  phase: string,
): Promise<void> => {
  const { rowCount } = await session.query(
    `update migration.batch set ended_at = null, outcome = null where id = $1 and outcome = 'closed'`,
    [id],
  );
  if (rowCount === 1)
    await recordEvent(session, { phase, action: 'batch-reopened', actor, batchId: id });
};
