import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closingLines, succeeded } from '../../infra/local/cli/closing-table.ts';
import type { Figures } from '../../infra/local/cli/figures.ts';
import {
  type Moments,
  requestFigures,
  WINDOWS,
  windowOf,
} from '../../infra/local/cli/request-windows.ts';
import { openScreen, wrap } from '../../infra/local/cli/screen.ts';
import { coveredSeconds } from '../../infra/local/cli/work-log.ts';

const REQUESTS = { count: 1_234_567, errors: 0, p50: 1.1, p99: 123.4, max: 12_345 };
const FIGURES: Figures = {
  rows: { kit: 1_000_000, practitioner_kits: 1_000_000 },
  rowsPerSecond: 123_456,
  parity: { compared: 2_000_000, mismatched: 0 },
  stage: 'closed',
  goal: 'closed',
  batchId: '00000000-0000-0000-0000-000000000000',
  phases: [{ name: 'phase2-migration', seconds: 1_234.5 }],
  flips: [{ to: 'copying', heldMs: 12.3 }],
  writes: { acknowledged: 123_456, found: 123_456, lost: 0, unexpected: 0, repeated: 12 },
  reads: { checked: 100, stale: 0 },
  writersHeldMs: { p50: 1.1, p99: 123.4, max: 12_345 },
  requests: {
    all: REQUESTS,
    before: REQUESTS,
    analysis: REQUESTS,
    copy: REQUESTS,
    flips: REQUESTS,
    after: REQUESTS,
    rollback: REQUESTS,
  },
  jobs: {
    sent: 123_456,
    repeated: 12_345,
    handled: 123_456,
    astray: 0,
    garbage: 1_234,
    deadLettered: 1_234,
    longestPauseMs: 123_456,
  },
};
const plain = { good: (text: string) => text, bad: (text: string) => text };

describe('the closing table', () => {
  it('fits into 80 columns', () => {
    const rollback = { rowsDeleted: 2_000_000, legacyIntact: true };
    for (const line of closingLines({ ...FIGURES, rollback }, plain))
      expect(line.length).toBeLessThanOrEqual(80);
  });

  it.each<[string, Partial<Figures>]>([
    ['a lost write', { writes: { ...FIGURES.writes, lost: 1 } }],
    ['a row that nobody wrote', { writes: { ...FIGURES.writes, unexpected: 1 } }],
    ['a stale read', { reads: { checked: 100, stale: 1 } }],
    ['a failed request', { requests: { ...FIGURES.requests, all: { ...REQUESTS, errors: 1 } } }],
    ['a job without an effect', { jobs: { ...FIGURES.jobs, handled: 1 } }],
    ['a kit that a job has not moved', { jobs: { ...FIGURES.jobs, astray: 1 } }],
    [
      'garbage that is not in the dead-letter queue',
      { jobs: { ...FIGURES.jobs, deadLettered: 1 } },
    ],
    ['a sound job in the dead-letter queue', { jobs: { ...FIGURES.jobs, deadLettered: 2_000 } }],
    ['a mismatch', { parity: { compared: 1, mismatched: 1 } }],
    ['no comparison', { parity: { compared: 0, mismatched: 0 } }],
    ['another stage', { stage: 'unified' }],
    ['a legacy table that differs', { rollback: { rowsDeleted: 1, legacyIntact: false } }],
  ])('does not call %s a success', (_what, fault) => {
    expect(succeeded(FIGURES)).toBe(true);
    expect(succeeded({ ...FIGURES, ...fault })).toBe(false);
  });
});

describe('the windows of requests', () => {
  const moments: Moments = {
    analysis: 1_000,
    copy: 2_000,
    after: 3_000,
    rollback: 4_000,
    flips: [
      { from: 2_000, until: 2_010 },
      { from: 3_000, until: 3_020 },
    ],
  };
  const at = (from: number, ms = 1) => windowOf(moments, { at: from, ms });

  it('go by when a request began, but a flip takes all that it may have held', () => {
    expect([500, 1_500, 2_500, 3_500, 4_500].map((from) => at(from))).toEqual([
      'before',
      'analysis',
      'copy',
      'after',
      'rollback',
    ]);
    expect(at(1_990, 11)).toBe('flips');
    expect(at(3_019, 500)).toBe('flips');
    expect(at(1_990, 9)).toBe('analysis');
    expect(at(3_020)).toBe('after');
  });

  it('have every request in one of them, and each in all', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ at: fc.nat(5_000), ms: fc.nat(100), error: fc.boolean() })),
        (exchanges) => {
          const figures = requestFigures(
            moments,
            exchanges.map((one) => ({ kind: 'exchange', write: false, status: 200, ...one })),
          );
          const sum = (key: 'count' | 'errors') =>
            WINDOWS.reduce((total, window) => total + figures[window][key], 0);
          expect(sum('count')).toBe(exchanges.length);
          expect(sum('errors')).toBe(figures.all.errors);
          expect(figures.all.errors).toBe(exchanges.filter(({ error }) => error).length);
        },
      ),
    );
  });
});

describe('the screen', () => {
  const written = (terminal: boolean, environment: NodeJS.ProcessEnv = {}) => {
    const stream = Object.assign(new PassThrough(), { isTTY: terminal, columns: 80 });
    const screen = openScreen(stream as unknown as NodeJS.WriteStream, environment);
    return { screen, text: () => String(stream.read() ?? '') };
  };

  it('writes plain lines where there is no terminal, and the same subject only so often', () => {
    const { screen, text } = written(false);
    screen.status('copy', 'copying 1 %');
    screen.status('copy', 'copying 2 %');
    screen.status('drain', 'draining');
    screen.line(screen.bad('done'));
    expect(text()).toBe('copying 1 %\ndraining\ndone\n');
  });

  it('draws one picture over the other on a terminal, and a line in their place', () => {
    const { screen, text } = written(true);
    screen.draw(['one', 'two']);
    screen.draw(['three']);
    screen.line('done');
    expect(text()).toBe(
      'one\u001b[K\ntwo\u001b[K\n\u001b[J\u001b[2Athree\u001b[K\n\u001b[J\u001b[1A\u001b[Jdone\n',
    );
  });

  it('takes a terminal of CI for a log', () => {
    expect([written(true).screen.terminal, written(true, { CI: 'true' }).screen.terminal]).toEqual([
      true,
      false,
    ]);
  });
});

describe('wrapped text', () => {
  it('keeps every word, and every line within the width unless a word alone is longer', () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { minLength: 1 }), (words) => {
        const lines = wrap(words.join(' '), '  ', '    ', 40);
        expect(lines.join(' ').split(/ +/).filter(Boolean)).toEqual(words);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(40);
      }),
    );
  });
});

describe('seconds at work', () => {
  it('count what ran side by side once, and pauses not at all', () => {
    const lanes = [
      { from: 0, to: 1_000 },
      { from: 500, to: 2_000 },
      { from: 600, to: 700 },
      { from: 5_000, to: 6_000 },
    ];
    expect(coveredSeconds(lanes)).toBe(3);
    expect(coveredSeconds(lanes.toReversed())).toBe(3);
  });
});
