import {
  activeBatch,
  approveReport,
  type Database,
  type Report,
  readReport,
  readStage,
} from '@unified-kits/data';
import { NoGo, UnifiedKitsError } from '@unified-kits/domain';
import type { System } from '../system.ts';
import type { WriterCounters } from '../writers/start-writers.ts';
import { seconds } from './numbers.ts';
import type { Screen } from './screen.ts';
import { showReport } from './show-report.ts';
import { watch } from './watch.ts';

/** Who signs and who drives, in the audit log. */
const ACTOR = 'npm start';
const LANES = 2;
/** Few: the check shares this one process with the API and its clients. */
const CONTRACT_KITS = 25;

/** An execution that did not succeed; it carries the error's own name. */
export class ExecutionFailed extends UnifiedKitsError {
  constructor(name: string, cause: string) {
    super(name, cause);
  }
}

export interface Stageplay {
  readonly screen: Screen;
  readonly db: Database;
  readonly system: System;
  readonly counters: Readonly<WriterCounters> | undefined;
  /** Checks, one a second, of each monitoring window. */
  readonly monitorChecks: number;
}

const causeOf = (cause: string | undefined): string => {
  if (cause === undefined) return 'no cause was given';
  try {
    const parsed: unknown = JSON.parse(cause);
    if (typeof parsed === 'object' && parsed !== null && 'errorMessage' in parsed)
      return String(parsed.errorMessage);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return cause;
};

/** Waits for an execution while showing where it is. */
const follow = async (
  { screen, db, system, counters }: Stageplay,
  name: string,
  executionArn: string,
): Promise<void> => {
  const began = performance.now();
  const workflow = name === 'rollback' ? 'rollback' : 'cutover';
  const watching = watch({ screen, db, system, workflow, executionArn, counters });
  try {
    const { status, error, cause } = await system.waitForExecution(executionArn);
    if (status !== 'SUCCEEDED')
      throw new ExecutionFailed(error ?? `execution ${status ?? 'unknown'}`, causeOf(cause));
  } finally {
    await watching.stop();
  }
  screen.line(`${screen.good('done')}  ${name} (${seconds((performance.now() - began) / 1000)})`);
};

/**
 * Phase 0 through the workflow; shows the report. A NO-GO ends the execution as failed, and is told by
 * the report that is returned.
 */
export const analyse = async (play: Stageplay): Promise<Report> => {
  const { db, screen, system } = play;
  const [clock] = await db.query<{ now: Date }>('select clock_timestamp() as now');
  const arn = await system.startCutover({ mode: 'analyse', actor: ACTOR });
  try {
    await follow(play, 'analysis', arn);
  } catch (error) {
    if (!(error instanceof ExecutionFailed) || error.name !== NoGo.name) throw error;
  }
  const [newest] = await db.query<{ id: string }>(
    'select id from migration.report where created_at >= $1 order by created_at desc limit 1',
    [clock?.now],
  );
  if (newest === undefined)
    throw new ExecutionFailed('NoReport', 'the analysis ended without a report');
  const report = await readReport(db, newest.id);
  showReport(screen, report);
  return report;
};

/** The operator's sign-off of the digest shown. */
export const approve = async ({ db, screen }: Stageplay, report: Report): Promise<void> => {
  await approveReport(db, { reportId: report.id, digest: report.digest, actor: ACTOR });
  screen.line(`signed off by "${ACTOR}"`);
};

/** Where a database stands before this run does anything. */
export const standing = (db: Database) =>
  db.transaction({ asEngine: true, readOnly: true }, async (session) => ({
    ...(await readStage(session)),
    active: await activeBatch(session),
  }));

/** The stage a run goes to. */
export type Goal = 'dual-write' | 'closed';

/** The cutover, from wherever its batch stands to the goal. */
export const cutOver = async (
  play: Stageplay,
  reportId: string | undefined,
  until: Goal,
): Promise<void> => {
  const arn = await play.system.startCutover({
    mode: 'cutover',
    actor: ACTOR,
    lanes: LANES,
    flags: 'auto',
    until,
    contractKits: CONTRACT_KITS,
    monitor: { seconds: 1, checks: play.monitorChecks },
    ...(reportId === undefined ? {} : { reportId }),
  });
  await follow(play, 'cutover', arn);
};

/** The rollback of a batch, from wherever it stands. */
export const rollBack = async (play: Stageplay, batchId: string | undefined): Promise<void> => {
  const arn = await play.system.startRollback({
    actor: ACTOR,
    lanes: LANES,
    ...(batchId === undefined ? {} : { batchId }),
  });
  await follow(play, 'rollback', arn);
};
