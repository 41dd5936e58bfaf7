import { appendFileSync } from 'node:fs';
import { blockersOf, NoGo, verdict } from '@unified-kits/domain';
import { PLANTED_BLOCKERS } from '../legacy/blockers.ts';
import { startSystem } from '../system.ts';
import { newCounters } from '../writers/start-writers.ts';
import { announce } from './announce.ts';
import type { Cleanup } from './cleanup.ts';
import { closingLines, succeeded } from './closing-table.ts';
import { type Demo, migrate, nothingProduced, takeBack, tidy } from './demo.ts';
import { analyse, standing } from './executions.ts';
import type { Figures } from './figures.ts';
import { count } from './numbers.ts';
import type { StartOptions } from './options.ts';
import { type Prepared, prepare, prepareWriters, rememberOriginal, seed } from './prepare.ts';
import {
  forgetRun,
  functionsLog,
  issuerKeyFile,
  loadRun,
  newRun,
  parametersFile,
  type RunState,
  saveRun,
} from './run-state.ts';
import type { Screen } from './screen.ts';
import { openTarget, type Target } from './target.ts';
import { shortPath, writeReport } from './write-report.ts';

/** As the functions know this machine. */
export const ENVIRONMENT = 'local';
const WRITERS = 4;
/** How long an interruption waits for the functions at work; what they leave is taken up again. */
export const GRACE_MS = 3_000;

/** How a run ended: whether it showed what it must, and the JSON object of `--json`. */
export interface RunResult {
  readonly good: boolean;
  readonly json: object;
}

const asked = (options: StartOptions, embedded: boolean): RunState => {
  const ours = embedded || options.seed;
  return newRun({
    rows: options.rows,
    seedNumber: options.seedNumber,
    writers: options.blockers ? 0 : (options.writers ?? (ours ? WRITERS : 0)),
    rollback: options.rollback,
    blockers: options.blockers,
    step: ours ? 'seed' : 'prepare',
  });
};

/** The unfinished run of this directory, or a new one. */
const chooseRun = async (
  target: Target,
  options: StartOptions,
  screen: Screen,
): Promise<RunState> => {
  const known = options.fresh ? undefined : await loadRun(target.stateDirectory);
  const usable =
    known !== undefined &&
    known.step !== 'finished' &&
    (known.step === 'seed' || (await target.exists()));
  if (usable) {
    screen.line(
      `resuming the run begun ${known.startedAt.slice(0, 19).replace('T', ' ')} UTC (${known.step}); its own options hold`,
    );
    return { ...known, rollback: known.rollback || options.rollback };
  }
  const state = asked(options, target.embedded);
  // On a given database the ledger and the flags of a closed batch are still needed to roll it back.
  if (target.embedded || state.step === 'seed') await forgetRun(target.stateDirectory);
  return state;
};

/** Writes the report of a run, by default the newest, and says where it is. */
const reportWritten = async (
  { db, target, screen }: Demo,
  id: string | undefined,
  figures?: Figures,
): Promise<string> => {
  const path = await writeReport(db, target.stateDirectory, {
    id,
    environment: ENVIRONMENT,
    figures,
  });
  screen.line(`report: ${shortPath(path)}`);
  return path;
};

const blockersShown = async (demo: Demo): Promise<RunResult> => {
  const { screen } = demo;
  const { analysis, id } = await analyse(demo);
  const found = blockersOf(analysis.findings);
  const missing = PLANTED_BLOCKERS.filter((code) => !found.some((one) => one.code === code));
  const expected = verdict(analysis.findings) === 'NO-GO' && missing.length === 0;
  screen.line();
  screen.line(
    expected
      ? screen.good(`NO-GO as planted: ${PLANTED_BLOCKERS.length} kinds of blocker, all found`)
      : screen.bad(`planted and not found: ${missing.join(', ')}`),
  );
  const reportFile = await reportWritten(demo, id);
  return {
    good: expected,
    json: {
      verdict: analysis.verdict,
      reportId: id,
      reportFile,
      blockers: found.map(({ code, source, column, count: rows, keys }) => ({
        code,
        source,
        ...(column === undefined ? {} : { column }),
        count: rows,
        keys,
      })),
      missing,
    },
  };
};

const since = (began: number): number => Math.round(performance.now() - began) / 1000;

const timed = async <Result>(work: () => Promise<Result>): Promise<[Result, number]> => {
  const began = performance.now();
  const result = await work();
  return [result, since(began)];
};

/** On a given database in stage `legacy` with no batch, an earlier run's ledger speaks of another time. */
const forgetOlder = async (target: Target, { db }: Prepared, state: RunState) => {
  if (target.embedded || state.step !== 'prepare') return;
  const { stage, active } = await standing(db);
  if (stage === 'legacy' && active === undefined) await forgetRun(target.stateDirectory);
};

/**
 * The main job: from the options to the closing table. Whatever it opens is given to `cleanup`, so that
 * an interruption at any moment leaves a state from which the same command goes on.
 */
export const run = async (
  options: StartOptions,
  screen: Screen,
  cleanup: Cleanup,
): Promise<RunResult> => {
  const [target, boot] = await timed(() =>
    openTarget(options, options.blockers ? 'blockers' : 'run'),
  );
  cleanup.add(target.close);
  const directory = target.stateDirectory;
  let state = await chooseRun(target, options, screen);
  const advance = async (changes: Partial<RunState>) => {
    state = { ...state, ...changes };
    await saveRun(directory, state);
  };
  await advance({
    ownSeconds: { ...state.ownSeconds, boot: (state.ownSeconds.boot ?? 0) + boot },
  });
  screen.line(
    `Unified Kits on ${target.description}${state.step === 'prepare' ? '' : `, ${count(state.rows)} + ${count(state.rows)} rows`}, ${state.writers} writers`,
  );
  if (state.step === 'seed') {
    const [, spent] = await timed(() => seed(target, state));
    screen.line(`seeded in ${spent.toFixed(1)} s`);
    await advance({ step: 'prepare', ownSeconds: { ...state.ownSeconds, seed: spent } });
  }

  const preparing = performance.now();
  const prepared = await prepare(target, options.mappingPath);
  cleanup.add(() => prepared.db.close());
  await forgetOlder(target, prepared, state);
  await saveRun(directory, state);
  const writers = await prepareWriters(prepared, target, state.writers);
  if (state.step === 'prepare') {
    if (state.rollback) await rememberOriginal(prepared);
    const [clock] = await prepared.db.query<{ now: Date }>('select clock_timestamp() as now');
    await advance({
      step: 'cutover',
      startedAt: (clock?.now ?? new Date()).toISOString(),
      ownSeconds: { ...state.ownSeconds, prepare: since(preparing) },
    });
  }

  const system = await startSystem({
    databaseUrl: target.databaseUrl,
    stateFile: parametersFile(directory),
    environment: ENVIRONMENT,
    mappingPath: options.mappingPath,
    service: writers && {
      databaseUrl: writers.serviceUrl,
      issuerKeyFile: issuerKeyFile(directory),
    },
    log: (line) => appendFileSync(functionsLog(directory), `${line}\n`, { mode: 0o600 }),
  });
  cleanup.add(() => system.stop({ graceMs: GRACE_MS }));
  cleanup.add(await announce(directory, system, ENVIRONMENT));
  const demo: Demo = {
    target,
    prepared,
    writers,
    db: prepared.db,
    system,
    screen,
    state,
    counters: newCounters(),
    produced: nothingProduced(),
    cleanup,
    rate: options.rate,
    monitorChecks: options.monitorChecks,
  };

  if (state.blockers) {
    const result = await blockersShown(demo);
    await advance({ step: 'finished' });
    return result;
  }
  let figures: Figures | undefined = state.step === 'rollback' ? state.figures : undefined;
  try {
    figures ??= await migrate(demo);
  } catch (error) {
    // Nothing has begun: the next run analyses afresh.
    if (error instanceof NoGo) {
      await advance({ step: 'finished' });
      await reportWritten(demo, undefined);
    }
    throw error;
  }
  if (state.rollback) {
    await advance({ step: 'rollback', figures });
    figures = await takeBack(demo, figures);
  }
  // Short of `closed` the run is not over: the same command goes on once the way is free.
  if (state.rollback || figures.stage === 'closed') {
    await advance({ step: 'finished' });
    await tidy(demo);
  }
  screen.line();
  for (const line of closingLines(figures, screen)) screen.line(line);
  const reportFile = await reportWritten(demo, figures.batchId, figures);
  return { good: succeeded(figures), json: { ...figures, reportFile } };
};
