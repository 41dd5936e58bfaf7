import { setTimeout as sleep } from 'node:timers/promises';
import {
  addTallies,
  type Finding,
  SOURCES,
  type Source,
  type Tally,
  toFindings,
  type Verdict,
  verdict,
} from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import type { Database, Session } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import {
  type AnalysisState,
  type AnalysisStep,
  analysisOf,
  clearState,
  lockState,
  saveState,
} from './analysis-state.ts';
import { BUCKETS } from './buckets.ts';
import { catalogTallies } from './catalog-tallies.ts';
import { type Estimate, estimateCopy } from './estimate.ts';
import { findDuplicateNumbers, findSharedUsers } from './find-duplicates.ts';
import { rangeEnd } from './range-end.ts';
import { scanRange } from './scan-range.ts';
import { SCANNED, type Scanned, type ScannedTable } from './scanned-table.ts';
import { type Lookups, readLookups, scannedTables } from './scanned-tables.ts';
import { readServerFacts, type ServerFacts } from './server-facts.ts';
import { whitespaceLiteral } from './whitespace.ts';

/** One legacy table, measured. */
export interface SourceFacts {
  readonly table: string;
  /** Counted; the planner's estimate where the rows could not be examined. */
  readonly rows: number;
  readonly examined: boolean;
  /** Without indexes, in bytes. */
  readonly tableBytes: number;
  readonly totalBytes: number;
}

/** The finished phase 0. */
export interface Analysis {
  readonly mappingName: string;
  readonly mappingDigest: string;
  readonly schemaDigest: string;
  readonly verdict: Verdict;
  readonly findings: readonly Finding[];
  readonly sources: Readonly<Record<Source, SourceFacts>>;
  readonly practitioners: number;
  readonly estimate: Estimate;
  readonly server: ServerFacts;
  readonly startedAt: string;
}

export interface AnalysisProgress {
  readonly step: 'scan' | 'numbers' | 'users' | 'end';
  readonly rows: number;
  readonly estimatedRows: number;
}

export type AnalysisOutcome =
  | { readonly done: false; readonly progress: AnalysisProgress }
  | { readonly done: true; readonly analysis: Analysis };

export interface AnalyseOptions {
  /** Stop after this, in milliseconds of `Date.now()`; one unit of work is always done. */
  readonly deadline: number;
  readonly onProgress?: (progress: AnalysisProgress) => void;
  /** Rows of a range: the first, the fewest and the most. For tests. */
  readonly rangeRows?: { readonly first: number; readonly least: number; readonly most: number };
}

/**
 * A range grows until its statement takes as long as this: where ids do not follow the order of the
 * rows on disk (uuid), each range touches most of the table, so few large ranges read the least.
 */
const TARGET_MS = 1_000;
const RANGE_ROWS = { first: 50_000, least: 1_000, most: 400_000 };
/** Locks on the legacy tables are waited for, one second at a time, this often in a row. */
const MOST_YIELDS = 60;

const AFTER_SCAN = { at: 'numbers', cursor: { bucket: 0, hash: null } } as const;

const firstStep = (unreadable: readonly string[], after?: Scanned): AnalysisStep => {
  const left = SCANNED.slice(after === undefined ? 0 : SCANNED.indexOf(after) + 1);
  const table = left.find((name) => !unreadable.includes(name));
  return table === undefined ? AFTER_SCAN : { at: 'scan', table, lower: null };
};

/** For the searches after the scan: their next bucket, or the step that follows. */
const searchStep = (
  at: 'numbers' | 'users',
  cursor: { readonly bucket: number; readonly hash: string | null },
): AnalysisStep => {
  if (cursor.bucket < BUCKETS) return { at, cursor };
  return at === 'numbers' ? { at: 'users', cursor: { bucket: 0, hash: null } } : { at: 'end' };
};

const scan = async (
  session: Session,
  table: ScannedTable,
  state: AnalysisState,
  lower: string | null,
  limits: typeof RANGE_ROWS,
): Promise<AnalysisState> => {
  const began = Date.now();
  const upper = await rangeEnd(session, table, lower, state.rangeRows);
  if (table.largeLookup)
    await session.query('set local enable_hashjoin = off; set local enable_mergejoin = off');
  const { rows, tallies } = await scanRange(session, table, { lower, upper });
  const factor = Math.min(2, Math.max(0.5, TARGET_MS / Math.max(1, Date.now() - began)));
  return {
    ...state,
    step:
      upper === null
        ? firstStep(state.unreadable, table.name)
        : { at: 'scan', table: table.name, lower: upper },
    rangeRows: Math.round(Math.min(limits.most, Math.max(limits.least, state.rangeRows * factor))),
    rows: { ...state.rows, [table.name]: state.rows[table.name] + rows },
    tallies: addTallies(state.tallies, tallies),
  };
};

const advance = async (
  session: Session,
  binding: Binding,
  tables: readonly ScannedTable[],
  state: AnalysisState,
  limits: typeof RANGE_ROWS,
): Promise<AnalysisState> => {
  const { step } = state;
  switch (step.at) {
    case 'scan': {
      const table = tables.find(({ name }) => name === step.table);
      if (table === undefined) throw new Error(`no table ${step.table} to scan`);
      return scan(session, table, state, step.lower, limits);
    }
    case 'numbers':
    case 'users': {
      const found =
        step.at === 'numbers'
          ? await findDuplicateNumbers(session, binding, tables, step.cursor)
          : await findSharedUsers(session, tables, step.cursor);
      return {
        ...state,
        step: searchStep(step.at, found.cursor),
        tallies: addTallies(state.tallies, found.tallies),
      };
    }
    case 'end':
      return state;
  }
};

const begin = async (session: Session, binding: Binding, lookups: Lookups, rangeRows: number) => {
  await clearState(session);
  const { tallies, unreadable } = await catalogTallies(session, binding, lookups);
  return {
    of: analysisOf(binding),
    startedAt: new Date().toISOString(),
    step: firstStep([...unreadable]),
    rangeRows,
    rows: { kit: 0, practitioner_kits: 0, practitioners: 0 },
    unreadable: [...unreadable],
    tallies: addTallies([], tallies),
  } satisfies AnalysisState;
};

const tableBytes = async (session: Session, binding: Binding, source: Source): Promise<number> => {
  const { rows } = await session.query('select pg_table_size($1::oid)::float8 as bytes', [
    binding.sources[source].catalog.oid,
  ]);
  return rows[0].bytes;
};

/** A time that no rule feeds is missing from every row. */
const withoutTimes = ({ source, rules }: BoundSource, count: number): Tally[] =>
  (
    [
      ['createdAt', 'CREATED_AT_CLAMPED'],
      ['updatedAt', 'UPDATED_AT_MISSING'],
    ] as const
  ).flatMap(([field, code]) =>
    rules.some((rule) => rule.field === field) ? [] : [{ code, source, count, keys: [] }],
  );

const finish = async (
  session: Session,
  binding: Binding,
  state: AnalysisState,
): Promise<Analysis> => {
  const facts = async (source: Source): Promise<SourceFacts> => {
    const { catalog, relation } = binding.sources[source];
    const examined = !state.unreadable.includes(source);
    return {
      table: relation,
      rows: examined ? state.rows[source] : Math.round(catalog.estimatedRows),
      examined,
      tableBytes: await tableBytes(session, binding, source),
      totalBytes: catalog.bytes,
    };
  };
  const sources = { kit: await facts('kit'), practitioner_kits: await facts('practitioner_kits') };
  const sum = (of: (one: SourceFacts) => number) =>
    SOURCES.reduce((total, source) => total + of(sources[source]), 0);
  const findings = toFindings([
    ...state.tallies,
    ...SOURCES.flatMap((source) => withoutTimes(binding.sources[source], sources[source].rows)),
  ]);
  return {
    mappingName: binding.mapping.name,
    mappingDigest: binding.mappingDigest,
    schemaDigest: binding.schemaDigest,
    verdict: verdict(findings),
    findings,
    sources,
    practitioners: state.rows.practitioners,
    estimate: estimateCopy(
      sum(({ rows }) => rows),
      sum((one) => one.tableBytes),
    ),
    server: await readServerFacts(session),
    startedAt: state.startedAt,
  };
};

const progressOf = (binding: Binding, { step, rows }: AnalysisState): AnalysisProgress => ({
  step: step.at,
  rows: rows.kit + rows.practitioner_kits,
  estimatedRows: SOURCES.reduce(
    (sum, source) => sum + Math.round(binding.sources[source].catalog.estimatedRows),
    0,
  ),
});

/**
 * Phase 0: reads each table once, in ranges of its key, and finds everything that stands against the
 * migration. Writes to the schema `migration` only, which must be installed. An analysis that met its
 * deadline, or died, is resumed by the next call with the same mapping and schema within an hour.
 *
 * It runs as the connected role, because the engine's own has no rights before phase 1.
 */
export const analyse = async (
  db: Database,
  binding: Binding,
  { deadline, onProgress, rangeRows: limits = RANGE_ROWS }: AnalyseOptions,
): Promise<AnalysisOutcome> => {
  const { lookups, tables } = await db.transaction({ readOnly: true }, async (session) => {
    const found = await readLookups(session, binding);
    const whitespace = await whitespaceLiteral(session);
    return { lookups: found, tables: scannedTables(binding, found, whitespace) };
  });
  const unit = (shrink: number): Promise<AnalysisOutcome> =>
    db.transaction({ synchronousCommit: false }, async (session) => {
      // Compiling these statements costs more than it saves; the memory is for one bucket's hashes.
      await session.query(`set local jit = off; set local work_mem = '64MB'`);
      const state =
        (await lockState(session, analysisOf(binding))) ??
        (await begin(session, binding, lookups, limits.first));
      const rangeRows = Math.max(limits.least, Math.round(state.rangeRows / shrink));
      const after = await advance(session, binding, tables, { ...state, rangeRows }, limits);
      if (after.step.at === 'end') {
        const analysis = await finish(session, binding, after);
        await clearState(session);
        return { done: true, analysis };
      }
      await saveState(session, after);
      return { done: false, progress: progressOf(binding, after) };
    });

  let [yields, shrink] = [0, 1];
  for (;;) {
    try {
      const outcome = await unit(shrink);
      if (outcome.done) return outcome;
      [yields, shrink] = [0, 1];
      onProgress?.(outcome.progress);
      if (Date.now() >= deadline) return outcome;
    } catch (error) {
      const cancelled = hasSqlState(error, SQLSTATE.queryCanceled);
      if (!cancelled && !hasSqlState(error, SQLSTATE.lockNotAvailable)) throw error;
      yields += 1;
      // The deadline is the caller's to renew: what is done is saved, and the next call goes on.
      if (yields >= MOST_YIELDS || (cancelled && shrink >= 1_000)) throw error;
      if (cancelled) shrink *= 4;
      else await sleep(100);
    }
  }
};
