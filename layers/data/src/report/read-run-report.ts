import { type RunReport, type RunState, STAGE_DEFINITIONS, type Stage } from '@unified-kits/domain';
import type { Batch } from '../batch/batch.ts';
import { readRowsDeleted } from '../batch/read-history.ts';
import type { Database, Session } from '../connection/database.ts';
import { readStage } from '../stage/read-stage.ts';
import { findRun, type ReportedRun } from './find-run.ts';
import { readAuditLog } from './read-audit-log.ts';
import { readCopy } from './read-copy.ts';
import { readPhases, readReportedFlips } from './read-course.ts';
import { readParity } from './read-parity.ts';
import {
  readContract,
  readJobs,
  readMonitoring,
  readRehearsal,
  readRollbackProof,
} from './read-service.ts';
import { findReport, type Report } from './report.ts';

/** Of a finding; who needs all of them reads the analysis. */
const MOST_KEYS = 5;

const analysisOf = (report: Report): NonNullable<RunReport['analysis']> => {
  const { analysis, id, digest, createdAt, approvedAt, approvedBy } = report;
  const { mappingName, mappingDigest, schemaDigest, verdict, practitioners, estimate } = analysis;
  return {
    reportId: id,
    digest,
    mappingName,
    mappingDigest,
    schemaDigest,
    verdict,
    findings: analysis.findings.map(({ column, keys, ...finding }) => ({
      ...finding,
      column: column ?? null,
      keys: keys.slice(0, MOST_KEYS),
    })),
    rows: {
      kit: analysis.sources.kit.rows,
      practitioner_kits: analysis.sources.practitioner_kits.rows,
    },
    practitioners,
    estimate: {
      seconds: estimate.seconds,
      diskBytes: estimate.diskBytes,
      walBytes: estimate.walBytes,
      basis: estimate.basis,
    },
    serverVersion: analysis.server.version,
    startedAt: analysis.startedAt,
    createdAt: createdAt.toISOString(),
    approvedAt: approvedAt?.toISOString() ?? null,
    approvedBy,
  };
};

const LAST_LEAD = `select id, detail ->> 'workflow' as workflow from migration.event where batch_id = $1 and action = 'lead-taken' order by id desc limit 1`;
const LAST_FAILURE = `select detail ->> 'error' as error from migration.event
  where batch_id = $1 and action in ('settled', 'alarm') and id > $2 order by id desc limit 1`;

interface Standing {
  readonly state: RunState;
  readonly stoppedBy: string | null;
  readonly rolledBack: boolean;
}

const standingOf = async (session: Session, batch: Batch, stage: Stage): Promise<Standing> => {
  const lead: { id: string; workflow: string } | undefined = (
    await session.query(LAST_LEAD, [batch.id])
  ).rows[0];
  const back = lead?.workflow === 'rollback';
  if (batch.outcome !== null)
    return { state: batch.outcome, stoppedBy: null, rolledBack: batch.outcome === 'rolled-back' };
  const [failure] = (await session.query(LAST_FAILURE, [batch.id, lead?.id ?? 0])).rows;
  if (failure !== undefined)
    return { state: 'stopped', stoppedBy: failure.error, rolledBack: back };
  if (back) return { state: 'rolling-back', stoppedBy: null, rolledBack: true };
  const served = STAGE_DEFINITIONS[stage].writes === 'kits';
  return { state: served ? 'served' : 'under-way', stoppedBy: null, rolledBack: false };
};

const stateOfAnalysis = (analysis: RunReport['analysis']): RunState => {
  if (analysis?.verdict !== 'GO') return 'no-go';
  return analysis.approvedAt === null ? 'awaiting-approval' : 'approved';
};

/** The analysis a run rests on ran in an execution of its own; it is the first of its phases. */
const withAnalysis = (
  phases: RunReport['phases'],
  analysis: RunReport['analysis'],
): RunReport['phases'] => {
  if (analysis === null) return phases;
  const name = 'phase0-analysis';
  const span = { from: analysis.startedAt, until: analysis.createdAt };
  const seconds = Math.max(0, Date.parse(span.until) - Date.parse(span.from)) / 1000;
  const own = phases.find((phase) => phase.name === name);
  return [
    {
      name,
      seconds: seconds + (own?.seconds ?? 0),
      spans: [span, ...(own?.spans ?? [])],
    },
    ...phases.filter((phase) => phase !== own),
  ];
};

/** What a report of an analysis alone has none of. */
const NO_BATCH = {
  batch: null,
  stoppedBy: null,
  rehearsal: null,
  flips: [],
  copy: null,
  parity: null,
  contract: null,
  monitoring: null,
  rollback: null,
} as const satisfies Partial<RunReport>;

const partsOfBatch = async (session: Session, batch: Batch) => {
  const { id, actor, startedAt, copiedAt, endedAt, outcome } = batch;
  const flips = await readReportedFlips(session, id);
  const now = await readStage(session);
  const stage = now.batchId === id ? now.stage : (flips.at(-1)?.to ?? 'legacy');
  const { rolledBack, ...standing } = await standingOf(session, batch, stage);
  return {
    ...standing,
    stage,
    batch: {
      id,
      actor,
      startedAt: startedAt.toISOString(),
      copiedAt: copiedAt?.toISOString() ?? null,
      endedAt: endedAt?.toISOString() ?? null,
      outcome,
    },
    rehearsal: await readRehearsal(session, batch),
    phases: await readPhases(session, id),
    flips: flips.map(({ epoch: _, ...flip }) => flip),
    copy: await readCopy(session, id),
    parity: await readParity(session, id, flips),
    contract: await readContract(session, id),
    monitoring: await readMonitoring(session, id),
    rollback: rolledBack
      ? {
          rowsDeleted: await readRowsDeleted(session, id),
          proof: await readRollbackProof(session, id),
        }
      : null,
  };
};

const reportOf = async (
  session: Session,
  { id, batch, reportId }: ReportedRun,
  environment: string,
): Promise<RunReport> => {
  const analysis = reportId === undefined ? null : analysisOf(await findReport(session, reportId));
  const parts =
    batch === undefined
      ? {
          ...NO_BATCH,
          state: stateOfAnalysis(analysis),
          stage: (await readStage(session)).stage,
          phases: [],
        }
      : await partsOfBatch(session, batch);
  const { rows } = await session.query('select clock_timestamp() as now');
  return {
    format: 1,
    id,
    environment,
    generatedAt: rows[0].now.toISOString(),
    analysis,
    ...parts,
    flips: [...parts.flips],
    phases: withAnalysis(parts.phases, analysis),
    clients: null,
    jobs: await readJobs(session, batch),
    ...(await readAuditLog(session, { batchId: batch?.id ?? null, reportId: reportId ?? null })),
  };
};

/**
 * Everything that is recorded of a run, in one snapshot: of an analysis alone, or of a batch with the analysis
 * it rests on. What only clients of the API know is not among it.
 *
 * @param run `id` is that of a batch or of an analysis' report; without it the newest run
 * @throws {BatchNotFound} when there is no such run.
 */
export const readRunReport = (
  db: Database,
  { id, environment }: { readonly id?: string | undefined; readonly environment: string },
): Promise<RunReport> =>
  db.transaction(
    { asEngine: true, readOnly: true, isolation: 'repeatable read' },
    async (session) => reportOf(session, await findRun(session, id), environment),
  );
