import { setTimeout as sleep } from 'node:timers/promises';
import { readRowsDeleted } from '@unified-kits/data';
import { NoGo, SOURCES, type Source, type Store, UnifiedKitsError } from '@unified-kits/domain';
import type { JobsPlan } from '../jobs/plan.ts';
import { type RunningProducer, startProducer } from '../jobs/producer.ts';
import { longestPause, verifyJobs } from '../jobs/verify.ts';
import { compareOriginal, dropOriginal, hasOriginal } from '../legacy/original.ts';
import { quantiles } from '../writers/latencies.ts';
import { type LedgerContent, readLedger } from '../writers/ledger.ts';
import { dropWriterLogin } from '../writers/login.ts';
import {
  type RunningWriters,
  startWriters,
  type WriterCounters,
} from '../writers/start-writers.ts';
import { type LedgerVerdict, touchedKeys, verifyLedger } from '../writers/verify-ledger.ts';
import { writtenColumns } from '../writers/written-fields.ts';
import type { Cleanup } from './cleanup.ts';
import {
  analyse,
  approve,
  cutOver,
  type Goal,
  rollBack,
  type Stageplay,
  standing,
} from './executions.ts';
import { type Figures, type JobFigures, type RollbackFigures, readFigures } from './figures.ts';
import type { Prepared, PreparedWriters } from './prepare.ts';
import { readMoments, requestFigures } from './request-windows.ts';
import type { RunState } from './run-state.ts';
import { wrap } from './screen.ts';
import type { Target } from './target.ts';

/** How long the writers are alone before anything begins, in milliseconds: what all else is compared with. */
const BEFOREHAND_MS = 2_000;
/** How long the writers go on once a stage has been reached, in milliseconds: they must be seen to go on. */
const AFTERWARDS_MS = 1_000;
const NO_JOBS: JobFigures = {
  sent: 0,
  repeated: 0,
  handled: 0,
  astray: 0,
  garbage: 0,
  deadLettered: 0,
  longestPauseMs: 0,
};
const NO_WRITES: LedgerVerdict = { acknowledged: 0, found: 0, lost: 0, unexpected: 0, keys: [] };

/** A writer that stopped by itself: what it would have shown was not shown. */
export class WriterFailed extends UnifiedKitsError {
  constructor(cause: unknown) {
    super(
      'WriterFailed',
      `a writer stopped: ${cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)}`,
      { cause },
    );
  }
}

/** One run: its database, its workflows, its writers. */
export interface Demo extends Stageplay {
  readonly target: Target;
  readonly prepared: Prepared;
  readonly writers: PreparedWriters | undefined;
  readonly state: RunState;
  readonly counters: WriterCounters;
  readonly produced: Produced;
  readonly cleanup: Cleanup;
  /** Operations per second of each writer. */
  readonly rate: number;
}

/** Writers and producers at work. */
interface Running {
  readonly writers: RunningWriters;
  readonly producer: RunningProducer;
}

/** What has been produced in this process, over the cutover and the way back. */
export interface Produced {
  readonly jobIds: Set<string>;
  repeated: number;
  garbage: number;
}

export const nothingProduced = (): Produced => ({ jobIds: new Set(), repeated: 0, garbage: 0 });

/** Tells what the API does not let owners do with this database. */
const showRefusals = ({ screen }: Demo, { abilities }: RunningWriters): void => {
  for (const source of SOURCES) {
    const able = abilities[source];
    const refusals = able?.refusals ?? ['no kit has an owner to try with'];
    if (refusals.length === 0) continue;
    const unable = able?.token === undefined && able?.creation === undefined;
    const text = `${source}: ${unable ? 'nothing can be written through the API' : 'not all can be written through the API'} (${refusals.join('; ')})`;
    for (const line of wrap(text, '', '  ')) screen.line(screen.dim(line));
  }
};

const beginWriting = async (demo: Demo): Promise<Running | undefined> => {
  const { writers, prepared, target, system, state, counters, cleanup, rate } = demo;
  const { api, service } = system;
  if (writers === undefined || api === undefined || service === undefined) return undefined;
  const starting = startWriters(writers.plan, {
    directory: target.stateDirectory,
    api,
    binding: prepared.binding,
    rate,
    seed: state.seedNumber,
    counters,
  });
  // An interruption may come while they start: then they are stopped once they have.
  cleanup.add(() =>
    starting.then(
      (running) => running.stop(),
      () => undefined,
    ),
  );
  const running = await starting;
  showRefusals(demo, running);
  const { binding, db } = prepared;
  const producer = await startProducer(db, binding, writers.jobs, service, state.seedNumber);
  cleanup.add(async () => {
    await producer.stop();
  });
  return { writers: running, producer };
};

/** Lets the queue be worked off, and looks for every job. */
const endProducing = async (
  { db, prepared, produced, writers, system, state, screen }: Demo,
  producer: RunningProducer,
  store: Store,
): Promise<JobFigures> => {
  const { jobIds, repeated, garbage } = await producer.stop();
  const fault = producer.fault();
  if (fault !== undefined) throw new WriterFailed(fault);
  for (const id of jobIds) produced.jobIds.add(id);
  produced.repeated += repeated;
  produced.garbage += garbage;
  if (writers === undefined || system.service === undefined) return NO_JOBS;
  const { astray, ...figures } = await verifyJobs(
    db,
    prepared.binding,
    writers.jobs,
    system.service,
    produced,
    store,
  );
  if (astray.length > 0)
    screen.line(screen.bad(`kits not where jobs have led them: ${astray.slice(0, 20).join(', ')}`));
  const longestPauseMs = await longestPause(db, new Date(state.startedAt));
  return { ...figures, astray: astray.length, longestPauseMs };
};

/** Lets the writers go on for a moment, stops them, and looks for every acknowledged write. */
const endWriting = async (
  demo: Demo,
  running: Running | undefined,
  store: Store,
): Promise<{ verdict: LedgerVerdict; ledger: LedgerContent; jobs: JobFigures }> => {
  const { writers, prepared, target, db, screen } = demo;
  let jobs = NO_JOBS;
  if (running !== undefined) {
    await sleep(AFTERWARDS_MS);
    await running.writers.stop();
    const fault = running.writers.fault();
    if (fault !== undefined) throw new WriterFailed(fault);
    jobs = await endProducing(demo, running.producer, store);
  }
  const ledger = await readLedger(target.stateDirectory);
  if (writers === undefined) return { verdict: NO_WRITES, ledger, jobs };
  const verdict = await verifyLedger(db, prepared.binding, ledger.entries, store);
  if (verdict.keys.length > 0)
    screen.line(screen.bad(`kits that are not as they must be: ${verdict.keys.join(', ')}`));
  return { verdict, ledger, jobs };
};

/** What the writers saw, from the ledger. */
const writerFigures = async (
  { db, state }: Demo,
  batchId: string,
  { acknowledged, found, lost, unexpected }: LedgerVerdict,
  { entries, exchanges, checks }: LedgerContent,
): Promise<Pick<Figures, 'writes' | 'reads' | 'writersHeldMs' | 'requests'>> => ({
  writes: {
    acknowledged,
    found,
    lost,
    unexpected,
    repeated: entries.filter(({ outcome }) => outcome !== undefined && outcome.tries > 1).length,
  },
  reads: { checked: checks.length, stale: checks.filter(({ stale }) => stale).length },
  writersHeldMs: quantiles(exchanges.flatMap(({ write, ms }) => (write ? [ms] : []))),
  requests: requestFigures(await readMoments(db, batchId, new Date(state.startedAt)), exchanges),
});

/** While a foreign key points at a legacy table, `unified` is refused: the dual-write window stays open. */
const goalOf = ({ prepared, screen }: Demo): Goal => {
  const references = SOURCES.flatMap(
    (source) => prepared.binding.sources[source].catalog.referencedBy,
  );
  if (references.length === 0) return 'closed';
  for (const text of [
    `going to "dual-write" only: foreign keys point at the legacy tables (${references.map(({ table, name }) => `${table} ${name}`).join(', ')}).`,
    'Re-point them at kits while that stage holds; the same command then goes on.',
  ])
    for (const line of wrap(text, '', '  ')) screen.line(line);
  return 'dual-write';
};

/**
 * From wherever the batch stands to `closed`, with the writers at it: analysis and sign-off unless the
 * batch has begun already, then the cutover.
 *
 * @throws {NoGo} when the analysis found blockers.
 * @throws {ExecutionFailed} when a workflow ended otherwise than well.
 */
export const migrate = async (demo: Demo): Promise<Figures> => {
  const { db, screen, state } = demo;
  const before = await standing(db);
  const closed = before.stage === 'closed' && before.active === undefined;
  const goal = goalOf(demo);
  let running: Running | undefined;
  if (closed) screen.line(`batch ${before.batchId ?? ''} is closed already`);
  else {
    running = await beginWriting(demo);
    if (running !== undefined && before.active === undefined) await sleep(BEFOREHAND_MS);
    let reportId: string | undefined = before.active?.reportId ?? undefined;
    if (before.active?.kind === 'full')
      screen.line(`going on with batch ${before.active.id} in stage "${before.stage}"`);
    else {
      const report = await analyse(demo);
      if (report.analysis.verdict !== 'GO')
        throw new NoGo('the analysis found blockers; nothing was changed');
      await approve(demo, report);
      reportId = report.id;
    }
    await cutOver(demo, reportId, goal);
  }
  const { verdict, ledger, jobs } = await endWriting(demo, running, 'kits');
  const { batchId } = await standing(db);
  if (batchId === null) throw new UnifiedKitsError('NoBatch', 'the cutover ended without a batch');
  const since = new Date(state.startedAt);
  const figures = await readFigures(db, batchId, closed ? new Date(0) : since);
  return {
    ...figures,
    goal,
    phases: [
      ...Object.entries(state.ownSeconds).map(([name, spent]) => ({ name, seconds: spent })),
      ...figures.phases,
    ],
    ...(await writerFigures(demo, batchId, verdict, ledger)),
    jobs,
  };
};

const withJobs = (
  touched: Readonly<Record<Source, readonly string[]>>,
  jobs: JobsPlan | undefined,
): Record<Source, readonly string[]> => {
  const of = (source: Source) => [
    ...touched[source],
    ...(jobs?.kits ?? []).flatMap((kit) => (kit.source === source ? [kit.legacyId] : [])),
  ];
  return { kit: of('kit'), practitioner_kits: of('practitioner_kits') };
};

/** Whether the legacy tables are what they were, plus the acknowledged writes; null: cannot be told. */
const legacyIntact = async (
  { db, prepared: { binding }, writers, screen }: Demo,
  { entries }: LedgerContent,
): Promise<boolean | null> => {
  if (!(await hasOriginal(db))) return null;
  const { differing, keys } = await compareOriginal(
    db,
    binding,
    writtenColumns(binding),
    withJobs(await touchedKeys(db, binding, entries), writers?.jobs),
  );
  if (differing > 0)
    screen.line(
      screen.bad(`${differing} legacy rows differ from the original: ${keys.join(', ')}`),
    );
  return differing === 0;
};

/**
 * Rolls the batch back with the writers at it, and compares the legacy tables with what they were.
 *
 * @throws {ExecutionFailed} when the workflow ended otherwise than well.
 */
export const takeBack = async (demo: Demo, before: Figures): Promise<Figures> => {
  const { db, state } = demo;
  const running = await beginWriting(demo);
  await rollBack(demo, before.batchId);
  const { verdict, ledger, jobs } = await endWriting(demo, running, 'legacy');
  const rowsDeleted = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
    readRowsDeleted(session, before.batchId),
  );
  const intact = await legacyIntact(demo, ledger);
  const rollback: RollbackFigures = {
    rowsDeleted,
    legacyIntact: intact === null ? null : intact && verdict.lost + verdict.unexpected === 0,
  };
  const now = await readFigures(db, before.batchId, new Date(state.startedAt));
  return {
    ...before,
    stage: now.stage,
    flips: now.flips,
    phases: [
      ...before.phases.filter(({ name }) => !now.phases.some((phase) => phase.name === name)),
      ...now.phases,
    ],
    ...(await writerFigures(demo, before.batchId, verdict, ledger)),
    jobs,
    rollback,
  };
};

/** Removes what only this run needed in the database. */
export const tidy = async ({ db, writers, state }: Demo): Promise<void> => {
  if (state.rollback) await dropOriginal(db);
  if (writers !== undefined) await dropWriterLogin(db);
};
