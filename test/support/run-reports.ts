import { FINDING_KINDS, type FindingCode, type RunReport, runReport } from '@unified-kits/domain';

/** Seconds after midnight of a day in 2026, as the database tells a moment. */
export const at = (seconds: number): string =>
  new Date(Date.UTC(2026, 4, 6) + seconds * 1000).toISOString();

export const findingOf = (code: FindingCode, keys: readonly string[], count = keys.length) => ({
  code,
  ...FINDING_KINDS[code],
  source: 'kit',
  column: null,
  count,
  keys: [...keys],
});

type Analysis = NonNullable<RunReport['analysis']>;

export const analysisOf = (changes: Partial<Analysis> = {}): Analysis => ({
  reportId: '0d3c1b52-6f0e-4a55-9d4f-000000000001',
  digest: 'd1'.repeat(32),
  mappingName: 'reference',
  mappingDigest: 'a2'.repeat(32),
  schemaDigest: 'c3'.repeat(32),
  verdict: 'GO',
  findings: [],
  rows: { kit: 70_000, practitioner_kits: 50_000 },
  practitioners: 400,
  estimate: { seconds: 9, diskBytes: 69_000_000, walBytes: 138_000_000, basis: 'a measurement' },
  serverVersion: '18.4',
  startedAt: at(0),
  createdAt: at(2),
  approvedAt: null,
  approvedBy: null,
  ...changes,
});

const NOTHING = {
  format: 1,
  environment: 'test',
  generatedAt: at(4_000),
  stage: 'legacy',
  stoppedBy: null,
  batch: null,
  rehearsal: null,
  phases: [],
  flips: [],
  copy: null,
  parity: null,
  contract: null,
  clients: null,
  jobs: { pauses: [], applied: null, stale: null },
  monitoring: null,
  rollback: null,
  events: [],
  eventsOmitted: 0,
} as const;

/** Of an analysis alone. */
export const analysisReport = (
  analysis: Partial<Analysis> = {},
  changes: Partial<RunReport> = {},
): RunReport => {
  const made = analysisOf(analysis);
  return runReport.parse({
    ...NOTHING,
    id: made.reportId,
    state: 'awaiting-approval',
    analysis: made,
    phases: [
      {
        name: 'phase0-analysis',
        seconds: 2,
        spans: [{ from: made.startedAt, until: made.createdAt }],
      },
    ],
    ...changes,
  });
};

const flipAt = (seconds: number, from: string, to: string) => ({
  at: at(seconds),
  from,
  to,
  actor: 'operator',
  writersHeldMs: 12.5,
  attempts: 1,
  drained: 3,
});

const cellsOf = (source: 'kit' | 'practitioner_kits', count: number) =>
  Array.from({ length: count }, () => ({
    source,
    ranges: 1,
    compared: 20_000,
    mismatched: 0,
    open: 0,
  }));

/** Of a migration that was closed, with everything in it that a report can show. */
export const migrationReport = (changes: Record<string, unknown> = {}): RunReport =>
  runReport.parse({
    ...NOTHING,
    id: '7a1e0000-0000-4000-8000-000000000002',
    state: 'closed',
    stage: 'closed',
    analysis: analysisOf({
      approvedAt: at(60),
      approvedBy: 'Ada',
      findings: [findingOf('NEAR_DUPLICATE', ['17', '18'], 240)],
    }),
    batch: {
      id: '7a1e0000-0000-4000-8000-000000000002',
      actor: 'Grace',
      startedAt: at(100),
      copiedAt: at(112),
      endedAt: at(3_800),
      outcome: 'closed',
    },
    rehearsal: { at: at(99), rows: 400 },
    phases: [
      { name: 'phase0-analysis', seconds: 2, spans: [{ from: at(0), until: at(2) }] },
      { name: 'phase2-migration', seconds: 20, spans: [{ from: at(100), until: at(120) }] },
      {
        name: 'phase7-cleanup',
        seconds: 3,
        spans: [
          { from: at(200), until: at(201) },
          { from: at(3_798), until: at(3_800) },
        ],
      },
    ],
    flips: [
      flipAt(101, 'legacy', 'copying'),
      flipAt(119, 'copying', 'mirrored'),
      flipAt(150, 'mirrored', 'dual-write'),
      flipAt(2_000, 'dual-write', 'unified'),
      flipAt(3_799, 'unified', 'closed'),
    ],
    copy: {
      rows: { kit: 70_000, practitioner_kits: 50_000 },
      expected: 120_000,
      seconds: 10,
      samples: [0, 3, 6, 10, 15].map((seconds) => ({
        at: at(101 + seconds),
        copied: Math.min(120_000, seconds * 12_000),
        backlog: seconds === 15 ? 0 : seconds * 20,
      })),
    },
    parity: {
      runs: [
        {
          runId: 'run-1',
          stage: 'mirrored',
          startedAt: at(121),
          finishedAt: at(125),
          compared: 120_000,
          mismatched: 0,
        },
      ],
      cells: [...cellsOf('kit', 60), ...cellsOf('practitioner_kits', 5)],
      mismatches: [],
      sampledRows: 1_200,
      sampledMismatches: 0,
    },
    contract: {
      at: at(130),
      stage: 'mirrored',
      compared: 200,
      requests: 2_031,
      differing: 0,
      complete: true,
    },
    clients: {
      latency: [
        { window: 'before', count: 200, errors: 0, p50: 8, p99: 40, max: 60 },
        { window: 'copy', count: 400, errors: 0, p50: 12, p99: 90, max: 140 },
        { window: 'flips', count: 12, errors: 0, p50: 20, p99: 50, max: 51 },
        { window: 'after', count: 900, errors: 0, p50: 9, p99: 50, max: 1_200 },
        { window: 'rollback', count: 0, errors: 0, p50: 0, p99: 0, max: 0 },
        { window: 'all', count: 1_512, errors: 0, p50: 9, p99: 60, max: 1_200 },
      ],
      writes: { acknowledged: 500, found: 500, lost: 0, unexpected: 0 },
      reads: { checked: 700, stale: 0 },
      jobs: { sent: 80, repeated: 20, handled: 80, astray: 0, garbage: 4, deadLettered: 4 },
      legacyIntact: null,
    },
    jobs: { pauses: [{ from: at(100), until: at(126) }], applied: 75, stale: 5 },
    monitoring: {
      checks: 288,
      first: at(200),
      last: at(3_700),
      compared: 1_200,
      highestBacklog: 7,
      refused: 2,
    },
    events: [
      {
        at: at(60),
        until: null,
        times: 1,
        phase: 'phase0-analysis',
        action: 'report-approved',
        actor: 'Ada',
        detail: { digest: 'd1'.repeat(32), reportId: '0d3c1b52-6f0e-4a55-9d4f-000000000001' },
      },
      {
        at: at(200),
        until: at(3_700),
        times: 288,
        phase: 'phase7-cleanup',
        action: 'monitored',
        actor: 'Grace',
        detail: { backlog: 7, done: true },
      },
    ],
    ...changes,
  });

const PROOF = {
  at: at(3_990),
  stage: 'legacy',
  rowsLeft: 0,
  backlogLeft: 0,
  suspendedTriggers: 0,
  triggersOn: 0,
};

/** One of each state that a run can be in. */
export const REPORTS: Readonly<Record<RunReport['state'], RunReport>> = {
  'no-go': analysisReport(
    {
      verdict: 'NO-GO',
      findings: [
        findingOf('DUPLICATE_IN_KIT', ['4', '9'], 31),
        findingOf('KIT_NUMBER_MISSING', ['12']),
        findingOf('NEAR_DUPLICATE', ['17']),
      ],
    },
    { state: 'no-go' },
  ),
  'awaiting-approval': analysisReport(),
  approved: analysisReport({ approvedAt: at(60), approvedBy: 'Ada' }, { state: 'approved' }),
  'under-way': migrationReport({
    state: 'under-way',
    stage: 'copying',
    flips: [flipAt(101, 'legacy', 'copying')],
    batch: {
      id: '7a1e0000-0000-4000-8000-000000000002',
      actor: 'Grace',
      startedAt: at(100),
      copiedAt: null,
      endedAt: null,
      outcome: null,
    },
    copy: {
      rows: { kit: 30_000, practitioner_kits: 0 },
      expected: 120_000,
      seconds: 3,
      samples: [{ at: at(102), copied: 0, backlog: 0 }],
    },
    parity: null,
    contract: null,
    clients: null,
    monitoring: null,
    jobs: { pauses: [{ from: at(100), until: null }], applied: 0, stale: 0 },
  }),
  stopped: migrationReport({
    state: 'stopped',
    stoppedBy: 'ParityMismatch',
    stage: 'mirrored',
    clients: null,
    monitoring: null,
    parity: {
      runs: [
        {
          runId: 'run-1',
          stage: 'mirrored',
          startedAt: at(121),
          finishedAt: at(125),
          compared: 100_000,
          mismatched: 2,
        },
      ],
      cells: [
        { source: 'kit', ranges: 1, compared: 20_000, mismatched: 2, open: 0 },
        { source: 'kit', ranges: 2, compared: 0, mismatched: 0, open: 2 },
        ...cellsOf('practitioner_kits', 3),
      ],
      mismatches: [{ source: 'kit', legacyId: '4711', columns: ['status', 'updatedAt'] }],
      sampledRows: 0,
      sampledMismatches: 0,
    },
  }),
  served: migrationReport({ state: 'served', stage: 'dual-write' }),
  closed: migrationReport(),
  'rolling-back': migrationReport({
    state: 'rolling-back',
    stage: 'unified',
    rollback: { rowsDeleted: 0, proof: null },
  }),
  'rolled-back': migrationReport({
    state: 'rolled-back',
    stage: 'legacy',
    rollback: { rowsDeleted: 120_258, proof: PROOF },
  }),
};
