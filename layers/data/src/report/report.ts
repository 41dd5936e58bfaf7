import {
  blockersOf,
  describeFinding,
  digest,
  InvalidInput,
  NoGo,
  ReportNotApproved,
} from '@unified-kits/domain';
import type { Analysis } from '../analysis/analyse.ts';
import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';

const PHASE = 'phase0-analysis';

/** A stored analysis, with what an operator has said to it. */
export interface Report {
  readonly id: string;
  /** What an approval binds to: mapping, schema and findings. */
  readonly digest: string;
  readonly analysis: Analysis;
  readonly createdAt: Date;
  readonly approvedAt: Date | null;
  readonly approvedBy: string | null;
}

/** The digest of mapping, schema and findings, in hex: not of times and sizes, which change by themselves. */
export const reportDigest = ({ mappingDigest, schemaDigest, findings }: Analysis): string =>
  digest({ mappingDigest, schemaDigest, findings });

const COLUMNS = `id, digest, body as analysis, created_at as "createdAt", approved_at as "approvedAt", approved_by as "approvedBy"`;

/**
 * A stored report, in the caller's transaction.
 *
 * @throws {InvalidInput} when the id is malformed.
 * @throws {ReportNotApproved} when there is no such report.
 */
export const findReport = async (
  session: Session,
  reportId: string,
  lock: '' | 'for update' = '',
): Promise<Report> => {
  // The server would refuse a malformed uuid in words that name no report.
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(reportId))
    throw new InvalidInput(`"${reportId}" is no report id: it is the uuid that the analysis shows`);
  const { rows } = await session.query(
    `select ${COLUMNS} from migration.report where id = $1 ${lock}`,
    [reportId],
  );
  const report: Report | undefined = rows[0];
  if (report === undefined)
    throw new ReportNotApproved(
      `there is no report ${reportId} in this database: analyse it, and approve the report that comes of it`,
    );
  return report;
};

/** Stores a finished analysis, as a report that waits for its approval. */
export const storeReport = (db: Database, analysis: Analysis, actor: string): Promise<Report> =>
  db.transaction({ asEngine: true }, async (session) => {
    const { rows } = await session.query(
      `insert into migration.report (digest, mapping_name, mapping_digest, schema_digest, verdict, body)
       values ($1, $2, $3, $4, $5, $6) returning ${COLUMNS}`,
      [
        reportDigest(analysis),
        analysis.mappingName,
        analysis.mappingDigest,
        analysis.schemaDigest,
        analysis.verdict,
        JSON.stringify(analysis),
      ],
    );
    const report: Report = rows[0];
    await recordEvent(session, {
      phase: PHASE,
      action: 'report-stored',
      actor,
      detail: {
        reportId: report.id,
        digest: report.digest,
        verdict: analysis.verdict,
        findings: Object.fromEntries(
          analysis.findings.map(({ code, source, column, count }) => [
            [code, source, column].filter((part) => part !== undefined).join(' '),
            count,
          ]),
        ),
      },
    });
    return report;
  });

/**
 * @throws {InvalidInput} when the id is malformed.
 * @throws {ReportNotApproved} when there is no such report.
 */
export const readReport = (db: Database, reportId: string): Promise<Report> =>
  db.transaction({ asEngine: true, readOnly: true }, (session) => findReport(session, reportId));

const noGo = ({ findings }: Analysis, what: string): NoGo => {
  const blockers = blockersOf(findings);
  return new NoGo(
    `${what}: ${blockers.length} blocker${blockers.length === 1 ? '' : 's'}\n${blockers.map((one) => `- ${describeFinding(one)}. ${one.advice}`).join('\n')}`,
  );
};

/**
 * Records the sign-off. It binds to the digest that the operator was shown; the first one stands.
 *
 * @throws {InvalidInput} when nobody signs, or the id is malformed.
 * @throws {ReportNotApproved} when there is no such report, or its digest is another.
 * @throws {NoGo} when the report has blockers.
 */
export const approveReport = (
  db: Database,
  {
    reportId,
    digest: shown,
    actor,
  }: { readonly reportId: string; readonly digest: string; readonly actor: string },
): Promise<Report> =>
  db.transaction({ asEngine: true }, async (session) => {
    if (actor.trim() === '') throw new InvalidInput('an approval needs the name of who approves');
    const report = await findReport(session, reportId, 'for update');
    if (report.digest !== shown)
      throw new ReportNotApproved(
        `report ${reportId} has digest ${report.digest}, not the one given: read this report, then approve the digest it shows`,
      );
    if (report.analysis.verdict !== 'GO')
      throw noGo(report.analysis, `report ${reportId} is a NO-GO and cannot be approved`);
    if (report.approvedAt !== null) return report;
    const { rows } = await session.query(
      `update migration.report set approved_at = clock_timestamp(), approved_by = $2 where id = $1 returning ${COLUMNS}`,
      [reportId, actor],
    );
    await recordEvent(session, {
      phase: PHASE,
      action: 'report-approved',
      actor,
      detail: { reportId, digest: shown },
    });
    return rows[0];
  });

/** Why a report does not cover what is there now, or undefined. */
const reasonAgainst = (report: Report, binding: Binding, fresh: Analysis): string | undefined => {
  const { analysis } = report;
  if (report.approvedAt === null) return 'it has not been approved: approve the digest it shows';
  if (reportDigest(analysis) !== report.digest)
    return 'its body does not have the digest that was approved: analyse again';
  const now = [binding, fresh];
  if (now.some(({ mappingDigest }) => mappingDigest !== analysis.mappingDigest))
    return 'the mapping has changed since: analyse again and approve the new report';
  if (now.some(({ schemaDigest }) => schemaDigest !== analysis.schemaDigest))
    return 'the schema of the legacy tables has changed since: analyse again and approve the new report';
  return undefined;
};

/**
 * The cutover's entry condition: an approved report that still describes this database, and a fresh
 * analysis that found no blocker.
 *
 * @throws {ReportNotApproved} when the report is missing or not approved, or mapping or schema changed.
 * @throws {NoGo} when a blocker has appeared since.
 */
export const assertApproved = async (
  db: Database,
  binding: Binding,
  reportId: string,
  fresh: Analysis,
): Promise<Report> => {
  const report = await readReport(db, reportId);
  const reason = reasonAgainst(report, binding, fresh);
  if (reason !== undefined)
    throw new ReportNotApproved(`report ${reportId} does not allow this migration: ${reason}`);
  if (fresh.verdict !== 'GO')
    throw noGo(fresh, `since report ${reportId} was approved, blockers have appeared`);
  return report;
};
