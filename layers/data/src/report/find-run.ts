import { BatchNotFound } from '@unified-kits/domain';
import type { Batch } from '../batch/batch.ts';
import type { Session } from '../connection/database.ts';

/** What a report is about: a batch and the analysis it rests on, or an analysis alone. */
export interface ReportedRun {
  readonly id: string;
  readonly batch: Batch | undefined;
  /** Of the analysis' report. */
  readonly reportId: string | undefined;
}

const BATCH = `select id, kind, report_id as "reportId", actor, started_at as "startedAt", copied_at as "copiedAt", ended_at as "endedAt", outcome
  from migration.batch where kind = 'full' and ($1::uuid is null or id = $1) order by started_at desc limit 1`;
const ANALYSIS = `select id, created_at as "createdAt" from migration.report where $1::uuid is null or id = $1 order by created_at desc limit 1`;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * The run of an id; without one the newest, which is the active batch if there is one.
 *
 * @param id of a batch, or of an analysis' report
 * @throws {BatchNotFound} when there is neither.
 */
export const findRun = async (session: Session, id: string | undefined): Promise<ReportedRun> => {
  const none = new BatchNotFound(
    id === undefined
      ? 'there is no batch and no analysis in this database: analyse it first'
      : `there is neither a batch nor an analysis "${id}" in this database: name the id that the analysis or the batch shows`,
  );
  if (id !== undefined && !UUID.test(id)) throw none;
  const batch: Batch | undefined = (await session.query(BATCH, [id ?? null])).rows[0];
  const analysis: { id: string; createdAt: Date } | undefined = (
    await session.query(ANALYSIS, [id ?? null])
  ).rows[0];
  const batchLeads =
    batch !== undefined &&
    (analysis === undefined || batch.endedAt === null || batch.endedAt > analysis.createdAt);
  if (batchLeads) return { id: batch.id, batch, reportId: batch.reportId ?? undefined };
  if (analysis === undefined) throw none;
  return { id: analysis.id, batch: undefined, reportId: analysis.id };
};
