import { stripVTControlCharacters, styleText } from 'node:util';
import type { LoggedEvent, MigrationStanding } from '@unified-kits/data';
import { type Flags, STAGES, type Stage } from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Output } from '../../infra/cli/output.ts';
import { openOutput } from '../../infra/cli/output.ts';
import { table } from '../../infra/cli/table.ts';
import { checklist } from '../../infra/cli/view/checklist.ts';
import { averageRate, copyRate } from '../../infra/cli/view/copy-rate.ts';
import { frame } from '../../infra/cli/view/frame.ts';
import type { OperatorStatus } from '../../infra/cli/view/operator-status.ts';
import { renderStatus, statusLine } from '../../infra/cli/view/render-status.ts';
import { bar, duration, shorten } from '../../infra/cli/view/words.ts';

const FLAGS: Flags = {
  unifiedReads: false,
  unifiedWrites: false,
  dualWrite: false,
  migrationInProgress: false,
  shadowReads: 0,
  copyRowsPerSecond: undefined,
};
const REPORT = {
  id: '3c9f5b0e-0000-4000-8000-000000000001',
  digest: 'd'.repeat(64),
  verdict: 'GO',
  createdAt: '2026-11-20T09:00:00.000Z',
  approvedAt: '2026-11-20T09:30:00.000Z',
  approvedBy: 'operator',
} as const;
const BATCH = {
  id: '77c0aa11-0000-4000-8000-000000000002',
  kind: 'full',
  reportId: REPORT.id,
  actor: 'operator',
  startedAt: '2026-11-20T10:00:00.000Z',
  copiedAt: null,
  endedAt: null,
  outcome: null,
  rowsCopied: 6_000,
} as const;
const EVENT: LoggedEvent = {
  id: 7,
  at: '2026-11-20T10:00:09.000Z',
  phase: 'phase2-migration',
  action: 'batch-begun',
  actor: 'operator',
  batchId: BATCH.id,
  detail: {},
};
const standingIn = (stage: Stage, more: Partial<MigrationStanding> = {}): MigrationStanding => ({
  at: '2026-11-20T10:00:10.000Z',
  stage,
  epoch: 1,
  since: '2026-11-20T10:00:00.000Z',
  batch: BATCH,
  report: REPORT,
  approved: REPORT,
  schema: true,
  copy: [],
  backlog: { noted: 0, failed: 0, oldestSeconds: 0, causes: [] },
  parity: null,
  parityExact: false,
  checks: 0,
  workersPaused: false,
  events: [],
  ...more,
});
const COPYING = standingIn('copying', {
  copy: [
    { source: 'kit', copied: 4_000, expected: 10_000, ranges: 5, rangesDone: 1, rangesOpen: 2 },
    {
      source: 'practitioner_kits',
      copied: 2_000,
      expected: 10_000,
      ranges: 5,
      rangesDone: 1,
      rangesOpen: 0,
    },
  ],
  backlog: {
    noted: 12,
    failed: 1,
    oldestSeconds: 3,
    causes: [{ cause: 'capture', noted: 12, failed: 1 }],
  },
  workersPaused: true,
  events: [EVENT],
});
const statusOf = (standing: MigrationStanding | undefined, more: Partial<OperatorStatus> = {}) => ({
  environment: 'test',
  standing,
  flags: FLAGS,
  executions: [],
  workers: undefined,
  ...more,
});
const CUTOVER = {
  arn: 'arn',
  workflow: 'cutover',
  status: 'RUNNING',
  startedAt: '2026-11-20T09:59:00.000Z',
  state: 'Copy in one lane',
} as const;

const plain: Output['style'] = (_format, text) => text;
const coloured: Output['style'] = (format, text) =>
  styleText(format, text, { validateStream: false });
const render = (status: OperatorStatus, style = plain, width = 80) =>
  renderStatus(status, { width, style });
const done = (status: OperatorStatus) =>
  checklist(status).filter(({ state }) => state === 'done').length;
const nowAt = (status: OperatorStatus) =>
  checklist(status).find(({ state }) => state === 'now')?.number;

describe('the checklist', () => {
  const paused = { ...FLAGS, migrationInProgress: true };
  it.each<[string, OperatorStatus, number, number | undefined]>([
    ['before the first analysis', statusOf(undefined), 0, undefined],
    [
      'with a report that nobody has signed',
      statusOf(standingIn('legacy', { approved: null, batch: null })),
      0,
      undefined,
    ],
    ['with the schema made', statusOf(standingIn('legacy', { batch: null })), 1, undefined],
    [
      'while workers are paused',
      statusOf(standingIn('legacy', { batch: null, workersPaused: true }), {
        executions: [CUTOVER],
      }),
      2,
      3,
    ],
    ['with the batch begun', statusOf(standingIn('legacy'), { flags: paused }), 3, undefined],
    ['while it copies', statusOf(COPYING), 3, 4],
    ['mirrored, not yet compared', statusOf(standingIn('mirrored')), 4, 5],
    ['with parity proved', statusOf(standingIn('mirrored', { parityExact: true })), 5, 6],
    [
      'with unified reads',
      statusOf(standingIn('mirrored', { parityExact: true }), {
        flags: { ...paused, unifiedReads: true },
      }),
      6,
      7,
    ],
    [
      'in dual-write, workers still paused',
      statusOf(standingIn('dual-write', { workersPaused: true }), { flags: paused }),
      7,
      8,
    ],
    ['in dual-write, workers at work', statusOf(standingIn('dual-write')), 8, 9],
    ['unified', statusOf(standingIn('unified')), 8, 9],
    ['closed', statusOf(standingIn('closed')), 9, undefined],
  ])('%s', (_when, status, ticked, now) => {
    expect([done(status), nowAt(status)]).toEqual([ticked, now]);
  });
});

describe('the view', () => {
  it('shows the copy with its rate, its end, its sources, and what waits', () => {
    const workers = {
      mapping: 'Disabled',
      messagesInFlight: 0,
      messagesWaiting: 41,
      messagesDelayed: 1,
      working: [],
    };
    const lines = render(statusOf(COPYING, { executions: [CUTOVER], workers }));
    expect(lines).toEqual([
      'Unified Kits, test, 2026-11-20 10:00:10 UTC',
      'Stage    copying, since 2026-11-20 10:00:00',
      `Batch    ${BATCH.id}, active, by operator`,
      'Flags    unified-reads off, unified-writes off, dual-write off, guard off',
      '',
      '  [x] 1 Schema and flags',
      '  [x] 2 Pause workers',
      '  [x] 3 Guard on',
      '  [>] 4 Migrate: Copy in one lane',
      '        [#######.................] 30 %  6,000 rows  600 rows/s  ETA 23 s',
      '        kit: 40 %, ranges 1 of 5 done, 2 in work',
      '        practitioner_kits: 20 %, ranges 1 of 5 done, 0 in work',
      '  [ ] 5 Validate',
      '  [ ] 6 Unified reads',
      '  [ ] 7 Unified writes',
      '  [ ] 8 Resume workers',
      '  [ ] 9 Monitor 24-48 h',
      '',
      'Backlog  12 keys, 1 stuck, oldest 3 s (capture 12)',
      'Jobs     42 wait, 0 in flight; workers Disabled (paused), 0 at work',
      'Runs     cutover since 09:59:00, in "Copy in one lane"',
      '',
      '10:00:09  phase2-migration  batch-begun  by operator',
    ]);
  });

  it('shows the comparison', () => {
    const parity = {
      startedAt: '2026-11-20T10:00:00.000Z',
      finished: false,
      ranges: 8,
      rangesDone: 4,
      compared: 12_345,
      mismatched: 0,
    };
    expect(render(statusOf(standingIn('mirrored', { parity })))).toContain(
      '        [############............] 50 %  12,345 rows compared, 0 differ',
    );
  });

  it('says that flags cannot be read, and that nothing was analysed', () => {
    const lines = render(statusOf(undefined, { flags: undefined }));
    expect(lines[0]).toBe('Unified Kits, test: no analysis has been made yet');
    expect(lines).toContain('Flags    cannot be read: the guard counts as on');
  });

  it('is the same with colour as without', () => {
    const status = statusOf(COPYING, { executions: [CUTOVER] });
    const lines = render(status, coloured);
    expect(lines.join('\n')).toContain('\u001b[');
    expect(lines.map(stripVTControlCharacters)).toEqual(render(status));
  });

  it('is no wider than it may be, whatever it shows', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...STAGES),
        fc.integer({ min: 40, max: 120 }),
        fc.string({ maxLength: 200 }),
        fc.boolean(),
        (stage, width, actor, colour) => {
          const standing = standingIn(stage, {
            copy: COPYING.copy,
            batch: { ...BATCH, actor },
            events: [{ ...EVENT, actor }],
          });
          const lines = render(
            statusOf(standing, { executions: [CUTOVER] }),
            colour ? coloured : plain,
            width,
          );
          for (const line of lines)
            expect(stripVTControlCharacters(line).length).toBeLessThanOrEqual(width);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is one line in a log', () => {
    expect(statusLine(statusOf(COPYING, { executions: [CUTOVER] }), 600)).toBe(
      '10:00:10  copying  cutover: Copy in one lane  30 %  600 rows/s  backlog 12',
    );
    expect(statusLine(statusOf(undefined))).toBe('no analysis yet  nothing is running');
  });
});

describe('the rate of a copy', () => {
  const at = (seconds: number, copied: number): MigrationStanding => ({
    ...COPYING,
    at: new Date(Date.parse(COPYING.since) + seconds * 1000).toISOString(),
    copy: COPYING.copy.map((one) => ({ ...one, copied: copied / 2 })),
  });

  it('is an average at the first look, then follows what is seen', () => {
    expect(averageRate(at(10, 1_000))).toBe(100);
    expect(averageRate(at(10, 0))).toBeUndefined();
    const follow = copyRate();
    expect(follow(at(10, 1_000))).toBe(100);
    expect(follow(at(11, 1_500))).toBe(500);
    // A smaller one is smoothed.
    expect(follow(at(12, 1_600))).toBeCloseTo(380);
  });

  it('falls to nothing while the copy rests, and a new batch begins anew', () => {
    const follow = copyRate();
    follow(at(10, 1_000));
    follow(at(11, 1_000));
    expect(follow(at(12, 1_000))).toBe(0);
    expect(follow(at(13, 0))).toBe(0);
  });
});

describe('words', () => {
  it.each([
    [0.2, 'under 1 s'],
    [59.6, '60 s'],
    [600, '10 min'],
    [10_800, '3 h'],
    [259_200, '3 d'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it('a bar never has more cells than it should', () => {
    expect([bar(-1, 4), bar(0.5, 4), bar(7, 4)]).toEqual(['[....]', '[##..]', '[####]']);
  });

  it('what is cut is marked', () => {
    expect([shorten('abcdef', 6), shorten('abcdefg', 6)]).toEqual(['abcdef', 'abc...']);
  });

  it('a table is as wide as its widest cells, and its last column is free', () => {
    expect(
      table(
        ['A', 'LONGER'],
        [
          ['1234', 'x'],
          ['1', 'a longer one'],
        ],
      ),
    ).toEqual(['A     LONGER', '1234  x', '1     a longer one']);
  });
});

describe('the output', () => {
  const stream = (isTTY: boolean) => {
    const written: string[] = [];
    const fake = { isTTY, columns: 100, write: (text: string) => written.push(text) > 0 };
    return { written, stream: fake as unknown as NodeJS.WriteStream };
  };
  const open = (isTTY: boolean, environment: NodeJS.ProcessEnv = {}) =>
    openOutput(stream(isTTY).stream, stream(false).stream, environment);

  it('has colour on a terminal only, and not with NO_COLOR', () => {
    const texts = [
      open(true),
      open(false),
      open(true, { NO_COLOR: '1' }),
      open(true, { TERM: 'dumb' }),
    ].map((out) => out.style('red', 'x'));
    expect(texts).toEqual(['\u001b[31mx\u001b[39m', 'x', 'x', 'x']);
  });

  it('is drawn over on a terminal only, and not in CI; elsewhere it is 80 wide', () => {
    expect([open(true).live, open(false).live, open(true, { CI: 'true' }).live]).toEqual([
      true,
      false,
      false,
    ]);
    expect([open(true).width, open(false).width]).toEqual([100, 80]);
  });

  it('a smaller picture leaves nothing of the one before', () => {
    const { written, stream: stdout } = stream(true);
    const picture = frame(openOutput(stdout, stdout, {}));
    picture.draw(['one', 'two']);
    picture.draw(['three']);
    expect(written).toEqual([
      'one\u001b[K\ntwo\u001b[K\n\u001b[J',
      '\u001b[2Athree\u001b[K\n\u001b[J',
    ]);
  });
});
