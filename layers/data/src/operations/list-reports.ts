import type { Verdict } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

/** A report without its findings; times are ISO 8601. */
export interface ReportSummary {
  readonly id: string;
  readonly digest: string;
  readonly verdict: Verdict;
  readonly createdAt: string;
  readonly approvedAt: string | null;
  readonly approvedBy: string | null;
}

/** The newest reports, the newest first. */
export const listReports = async (session: Session, limit: number): Promise<ReportSummary[]> => {
  const { rows } = await session.query(
    `select id, digest, verdict, created_at as "createdAt", approved_at as "approvedAt", approved_by as "approvedBy"
       from migration.report order by created_at desc limit $1`,
    [limit],
  );
  return rows.map((row) => ({
    ...row,
    createdAt: row.createdAt.toISOString(),
    approvedAt: row.approvedAt?.toISOString() ?? null,
  }));
};
