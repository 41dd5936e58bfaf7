import type { Session } from '../connection/database.ts';

/** A batch in a list; times are ISO 8601. */
export interface BatchSummary {
  readonly id: string;
  readonly kind: 'canary' | 'full';
  readonly reportId: string | null;
  readonly actor: string;
  readonly startedAt: string;
  readonly copiedAt: string | null;
  readonly endedAt: string | null;
  readonly outcome: 'closed' | 'rolled-back' | null;
  readonly rowsCopied: number;
}

const iso = (time: Date | null): string | null => time?.toISOString() ?? null;

/** The newest batches, the newest first; one of them by its id. */
export const listBatches = async (
  session: Session,
  { limit, batchId }: { readonly limit: number; readonly batchId?: string | undefined },
): Promise<BatchSummary[]> => {
  const { rows } = await session.query(
    `select id, kind, report_id as "reportId", actor, started_at as "startedAt", copied_at as "copiedAt",
            ended_at as "endedAt", outcome,
            (select coalesce(sum(rows_copied), 0)::float8 from migration.chunk where batch_id = batch.id) as "rowsCopied"
       from migration.batch batch
      where $2::uuid is null or id = $2
      order by started_at desc limit $1`,
    [limit, batchId ?? null],
  );
  return rows.map((row) => ({
    ...row,
    startedAt: row.startedAt.toISOString(),
    copiedAt: iso(row.copiedAt),
    endedAt: iso(row.endedAt),
  }));
};
