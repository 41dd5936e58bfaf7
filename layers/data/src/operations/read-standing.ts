import type { Stage } from '@unified-kits/domain';
import {
  type Backlog,
  type BacklogOfCause,
  readBacklog,
  readBacklogByCause,
} from '../backlog/read-backlog.ts';
import type { Database, Session } from '../connection/database.ts';
import { readProgressBySource, type SourceProgress } from '../copy/read-progress.ts';
import { readPause } from '../jobs/workers-pause.ts';
import { readParityProof } from '../parity/read-proof.ts';
import { isTracked } from '../schema/is-tracked.ts';
import { readStage } from '../stage/read-stage.ts';
import { type BatchSummary, listBatches } from './list-batches.ts';
import { type LoggedEvent, listEvents } from './list-events.ts';
import { listReports, type ReportSummary } from './list-reports.ts';
import { type ParityWork, readChecks, readParityWork } from './read-work.ts';

/** Where a migration stands, as its database knows it; times are ISO 8601. */
export interface MigrationStanding {
  /** When this was read. */
  readonly at: string;
  readonly stage: Stage;
  readonly epoch: number;
  readonly since: string;
  /** The active batch, or else the one that the stage belongs to. */
  readonly batch: BatchSummary | null;
  /** The newest report. */
  readonly report: ReportSummary | null;
  /** The newest report that was approved. */
  readonly approved: ReportSummary | null;
  /** Whether phase 1 has made `kits`. */
  readonly schema: boolean;
  readonly copy: readonly SourceProgress[];
  readonly backlog: Backlog & { readonly causes: readonly BacklogOfCause[] };
  readonly parity: ParityWork | null;
  /** Whether a full comparison in this stage found no difference. */
  readonly parityExact: boolean;
  /** Checks of the monitoring window made in this stage. */
  readonly checks: number;
  /** Whether the workers are paused, as the audit log has it. */
  readonly workersPaused: boolean;
  readonly events: readonly LoggedEvent[];
}

const isSchemaMade = async (session: Session): Promise<boolean> =>
  (await session.query(`select from migration.installed where component = 'kits'`)).rowCount === 1;

/** As many reports as are looked through for an approved one. */
const REPORTS = 20;

const read = async (session: Session, events: number): Promise<MigrationStanding> => {
  const { stage, epoch, since, batchId } = await readStage(session);
  const [latest] = await listBatches(session, { limit: 1 });
  const active = latest?.endedAt === null ? latest : undefined;
  const [staged] = batchId === null ? [] : await listBatches(session, { limit: 1, batchId });
  const batch = active ?? staged ?? null;
  const reports = await listReports(session, REPORTS);
  const proof = await readParityProof(session, { batchId, epoch });
  return {
    at: new Date().toISOString(),
    stage,
    epoch,
    since: since.toISOString(),
    batch,
    report: reports[0] ?? null,
    approved: reports.find(({ approvedAt }) => approvedAt !== null) ?? null,
    schema: await isSchemaMade(session),
    copy: batch === null ? [] : await readProgressBySource(session, batch.id),
    backlog: { ...(await readBacklog(session)), causes: await readBacklogByCause(session) },
    parity: (await readParityWork(session, { batchId, epoch })) ?? null,
    parityExact: proof?.mismatched === 0,
    checks: await readChecks(session, { batchId, stage }),
    workersPaused: (await readPause(session)) !== undefined,
    events: events === 0 ? [] : await listEvents(session, { limit: events, notable: true }),
  };
};

/**
 * Where the migration stands, with so many of its last events; undefined before phase 0 has run for the first
 * time. In one snapshot.
 */
export const readStanding = async (
  db: Database,
  events: number,
): Promise<MigrationStanding | undefined> =>
  (await isTracked(db))
    ? db.transaction(
        {
          asEngine: true,
          readOnly: true,
          isolation: 'repeatable read',
          statementTimeoutMs: 10_000,
        },
        (session) => read(session, events),
      )
    : undefined;
