import { z } from 'zod';
import { SEVERITIES } from '../findings.ts';
import { SOURCES } from '../mapping/schema.ts';
import { STAGES } from '../stages.ts';

const instant = z.iso.datetime();
const count = z.number().nonnegative();
const source = z.enum(SOURCES);
const stage = z.enum(STAGES);
const rowsBySource = z.object({ kit: count, practitioner_kits: count });

/** How a run stands. `stopped` waits for somebody; the other open ones go on by themselves or by an approval. */
export const RUN_STATES = [
  'no-go',
  'awaiting-approval',
  'approved',
  'under-way',
  'stopped',
  'served',
  'closed',
  'rolling-back',
  'rolled-back',
] as const;

const finding = z.object({
  code: z.string(),
  severity: z.enum(SEVERITIES),
  title: z.string(),
  source: z.string(),
  column: z.string().nullable(),
  count,
  /** The first few; never more than a person looks at. */
  keys: z.array(z.string()),
  advice: z.string(),
});

const analysis = z.object({
  reportId: z.string(),
  digest: z.string(),
  mappingName: z.string(),
  mappingDigest: z.string(),
  schemaDigest: z.string(),
  verdict: z.enum(['GO', 'NO-GO']),
  findings: z.array(finding),
  rows: rowsBySource,
  practitioners: count,
  estimate: z.object({ seconds: count, diskBytes: count, walBytes: count, basis: z.string() }),
  serverVersion: z.string(),
  startedAt: instant,
  createdAt: instant,
  approvedAt: instant.nullable(),
  approvedBy: z.string().nullable(),
});

const batch = z.object({
  id: z.string(),
  actor: z.string(),
  startedAt: instant,
  copiedAt: instant.nullable(),
  endedAt: instant.nullable(),
  outcome: z.enum(['closed', 'rolled-back']).nullable(),
});

const span = z.object({ from: instant, until: instant });

/** A phase, and when at least one of its functions was at work. */
const phase = z.object({ name: z.string(), seconds: count, spans: z.array(span) });

const flip = z.object({
  at: instant,
  from: stage,
  to: stage,
  actor: z.string(),
  /** The longest that a writer waited; null when the function died before it could tell. */
  writersHeldMs: count.nullable(),
  attempts: count.nullable(),
  drained: count.nullable(),
});

/** A look at the work under way. */
const sample = z.object({ at: instant, copied: count, backlog: count });

/** Neighbouring ranges of one source, added up. */
const cell = z.object({
  source,
  ranges: count,
  compared: count,
  mismatched: count,
  /** Ranges that nobody has compared yet. */
  open: count,
});

const comparison = z.object({
  runId: z.string(),
  stage: stage.nullable(),
  startedAt: instant,
  finishedAt: instant.nullable(),
  compared: count,
  mismatched: count,
});

const parity = z.object({
  /** Comparisons of every row, in order. */
  runs: z.array(comparison),
  /** The ranges of the last of them. */
  cells: z.array(cell),
  /** What differed in the last of them, by key and column; the first few. */
  mismatches: z.array(z.object({ source, legacyId: z.string(), columns: z.array(z.string()) })),
  sampledRows: count,
  sampledMismatches: count,
});

const contract = z.object({
  at: instant,
  stage: z.string(),
  compared: count,
  requests: count,
  differing: count,
  complete: z.boolean(),
});

/** Parts of a run as clients saw it, in order. */
export const LATENCY_WINDOWS = [
  'before',
  'analysis',
  'copy',
  'flips',
  'after',
  'rollback',
  'all',
] as const;

const latency = z.object({
  window: z.enum(LATENCY_WINDOWS),
  count,
  errors: count,
  /** Milliseconds. */
  p50: count,
  p99: count,
  max: count,
});

/** What only clients can know; present where the run had clients of its own. */
const clients = z.object({
  latency: z.array(latency),
  writes: z.object({ acknowledged: count, found: count, lost: count, unexpected: count }),
  reads: z.object({ checked: count, stale: count }),
  jobs: z.object({
    sent: count,
    repeated: count,
    handled: count,
    astray: count,
    garbage: count,
    deadLettered: count,
  }),
  /** Null where nothing was taken at the start to compare with, or nothing was rolled back. */
  legacyIntact: z.boolean().nullable(),
});

const jobs = z.object({
  pauses: z.array(z.object({ from: instant, until: instant.nullable() })),
  /** Jobs that had their effect, and those that came too late to have one, over the run; null when not told. */
  applied: count.nullable(),
  stale: count.nullable(),
});

const monitoring = z.object({
  checks: count,
  first: instant,
  last: instant,
  compared: count,
  highestBacklog: count,
  refused: count,
});

const rollback = z.object({
  rowsDeleted: count,
  proof: z
    .object({
      at: instant,
      stage: z.string(),
      rowsLeft: count,
      backlogLeft: count,
      suspendedTriggers: count,
      triggersOn: count,
    })
    .nullable(),
});

const event = z.object({
  at: instant,
  /** When a routine one was repeated last. */
  until: instant.nullable(),
  times: count,
  phase: z.string(),
  action: z.string(),
  actor: z.string(),
  /** Ids and counters by name. */
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

/**
 * Everything that a run's report shows: of an analysis alone, or of a migration from its analysis to wherever
 * it stands. Ids, counters, keys and the names of those who decided; never a row's content.
 */
export const runReport = z.object({
  /** Raised when a reader of old reports must be told. */
  format: z.literal(1),
  /** The batch's id, or that of the analysis' report. */
  id: z.string(),
  environment: z.string(),
  generatedAt: instant,
  state: z.enum(RUN_STATES),
  stage,
  /** The error that the run stopped with, where it did. */
  stoppedBy: z.string().nullable(),
  analysis: analysis.nullable(),
  batch: batch.nullable(),
  rehearsal: z.object({ at: instant, rows: count }).nullable(),
  phases: z.array(phase),
  flips: z.array(flip),
  copy: z
    .object({ rows: rowsBySource, expected: count, seconds: count, samples: z.array(sample) })
    .nullable(),
  parity: parity.nullable(),
  contract: contract.nullable(),
  clients: clients.nullable(),
  jobs,
  monitoring: monitoring.nullable(),
  rollback: rollback.nullable(),
  events: z.array(event),
  /** Older events that were left out, so that the page stays one that a browser likes. */
  eventsOmitted: count,
});

export type RunReport = z.output<typeof runReport>;
export type RunState = RunReport['state'];
export type ReportedFlip = z.output<typeof flip>;
export type ReportedSpan = z.output<typeof span>;
export type ReportedEvent = z.output<typeof event>;
export type ParityCell = z.output<typeof cell>;
export type ProgressSample = z.output<typeof sample>;
export type ClientFigures = z.output<typeof clients>;
