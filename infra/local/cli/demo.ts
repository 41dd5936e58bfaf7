import { setTimeout as sleep } from 'node:timers/promises';
import { readRowsDeleted } from '@unified-kits/data';
import { NoGo, SOURCES, type Store, UnifiedKitsError } from '@unified-kits/domain';
import { FlagStore } from '../../../functions/runtime/flag-store.ts';
import { compareOriginal, dropOriginal, hasOriginal } from '../legacy/original.ts';
import { quantiles } from '../writers/latencies.ts';
import { type LedgerEntry, readLedger } from '../writers/ledger.ts';
import { dropWriterLogin } from '../writers/login.ts';
import { type RunningWriters, startWriters } from '../writers/start-writers.ts';
import { type LedgerVerdict, touchedKeys, verifyLedger } from '../writers/verify-ledger.ts';
import type { WriterCounters } from '../writers/writer.ts';
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
import { type Figures, type RollbackFigures, readFigures } from './figures.ts';
import type { Prepared } from './prepare.ts';
import type { RunState } from './run-state.ts';
import { wrap } from './screen.ts';
import type { Target } from './target.ts';

/** How long the writers go on once a stage has been reached, in milliseconds: they must be seen to go on. */
const AFTERWARDS_MS = 1_000;
const NO_WRITES: LedgerVerdict = { acknowledged: 0, found: 0, lost: 0, unexpected: 0, keys: [] };

const UNWRITTEN = {
  written: { kit: [], practitioner_kits: [] },
  shapes: { kit: undefined, practitioner_kits: undefined },
};

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
  readonly state: RunState;
  readonly counters: WriterCounters;
  readonly cleanup: Cleanup;
  readonly environment: string;
  /** Writes per second of each writer. */
  readonly rate: number;
}

const beginWriting = async (demo: Demo): Promise<RunningWriters | undefined> => {
  const { prepared, target, system, state, counters, cleanup, rate, environment } = demo;
  if (prepared.writers === undefined) return undefined;
  const running = await startWriters(prepared.writers.plan, {
    directory: target.stateDirectory,
    url: prepared.writers.url,
    flags: () => new FlagStore(system.ssm, environment),
    rate,
    seed: state.seedNumber,
    counters,
  });
  cleanup.add(() => running.stop());
  return running;
};

/** Lets the writers go on for a moment, stops them, and looks for every acknowledged write. */
const endWriting = async (
  demo: Demo,
  running: RunningWriters | undefined,
  store: Store,
): Promise<{ verdict: LedgerVerdict; entries: readonly LedgerEntry[] }> => {
  const { prepared, target, db, screen } = demo;
  if (running !== undefined) {
    await sleep(AFTERWARDS_MS);
    await running.stop();
    const fault = running.fault();
    if (fault !== undefined) throw new WriterFailed(fault);
  }
  const entries = await readLedger(target.stateDirectory);
  if (prepared.writers === undefined) return { verdict: NO_WRITES, entries };
  const verdict = await verifyLedger(db, prepared.writers.plan.shapes, entries, store);
  if (verdict.keys.length > 0)
    screen.line(screen.bad(`rows that are not as they must be: ${verdict.keys.join(', ')}`));
  return { verdict, entries };
};

const heldMs = (entries: readonly LedgerEntry[]) =>
  quantiles(entries.flatMap(({ outcome }) => (outcome?.result === 'ok' ? [outcome.ms] : [])));

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
  const { db, screen, state, counters } = demo;
  const before = await standing(db);
  const closed = before.stage === 'closed' && before.active === undefined;
  const goal = goalOf(demo);
  let running: RunningWriters | undefined;
  if (closed) screen.line(`batch ${before.batchId ?? ''} is closed already`);
  else {
    running = await beginWriting(demo);
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
  const { verdict, entries } = await endWriting(demo, running, 'kits');
  const { batchId } = await standing(db);
  if (batchId === null) throw new UnifiedKitsError('NoBatch', 'the cutover ended without a batch');
  const since = new Date(state.startedAt);
  const figures = await readFigures(db, batchId, closed ? new Date(0) : since);
  const { keys: _keys, ...writes } = verdict;
  if (counters.reads > 0)
    screen.line(
      `writers: ${counters.redirected} writes redirected by the fence, ${counters.reads} reads of their own writes, ${counters.staleReads} stale`,
    );
  return {
    ...figures,
    goal,
    phases: [
      ...Object.entries(state.ownSeconds).map(([name, spent]) => ({ name, seconds: spent })),
      ...figures.phases,
    ],
    writes,
    reads: { checked: counters.reads, stale: counters.staleReads },
    writersHeldMs: heldMs(entries),
  };
};

/** Whether the legacy tables are what they were, plus the acknowledged writes; undefined: cannot be told. */
const legacyIntact = async (
  demo: Demo,
  entries: readonly LedgerEntry[],
): Promise<boolean | null> => {
  const { db, prepared, screen } = demo;
  if (!(await hasOriginal(db))) return null;
  const { written, shapes } = prepared.writers?.plan ?? UNWRITTEN;
  const { differing, keys } = await compareOriginal(
    db,
    prepared.binding,
    written,
    await touchedKeys(db, shapes, entries, 'legacy'),
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
  const { verdict, entries } = await endWriting(demo, running, 'legacy');
  const rowsDeleted = await db.transaction({ asEngine: true, readOnly: true }, (session) =>
    readRowsDeleted(session, before.batchId),
  );
  const intact = await legacyIntact(demo, entries);
  const rollback: RollbackFigures = {
    rowsDeleted,
    legacyIntact: intact === null ? null : intact && verdict.lost + verdict.unexpected === 0,
  };
  const { keys: _keys, ...writes } = verdict;
  const now = await readFigures(db, before.batchId, new Date(state.startedAt));
  return {
    ...before,
    stage: now.stage,
    flips: now.flips,
    phases: [
      ...before.phases.filter(({ name }) => !now.phases.some((phase) => phase.name === name)),
      ...now.phases,
    ],
    writes,
    reads: { checked: demo.counters.reads, stale: demo.counters.staleReads },
    writersHeldMs: heldMs(entries),
    rollback,
  };
};

/** Removes what only this run needed in the database. */
export const tidy = async ({ db, prepared, state }: Demo): Promise<void> => {
  if (state.rollback) await dropOriginal(db);
  if (prepared.writers !== undefined) await dropWriterLogin(db);
};
