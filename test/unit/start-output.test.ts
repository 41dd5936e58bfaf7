import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closingLines, succeeded } from '../../infra/local/cli/closing-table.ts';
import type { Figures } from '../../infra/local/cli/figures.ts';
import { openScreen, wrap } from '../../infra/local/cli/screen.ts';
import { coveredSeconds } from '../../infra/local/cli/work-log.ts';

const FIGURES: Figures = {
  rows: { kit: 1_000_000, practitioner_kits: 1_000_000 },
  rowsPerSecond: 123_456,
  parity: { compared: 2_000_000, mismatched: 0 },
  stage: 'closed',
  goal: 'closed',
  batchId: '00000000-0000-0000-0000-000000000000',
  phases: [{ name: 'phase2-migration', seconds: 1_234.5 }],
  flips: [{ to: 'copying', heldMs: 12.3 }],
  writes: { acknowledged: 123_456, found: 123_456, lost: 0, unexpected: 0 },
  reads: { checked: 100, stale: 0 },
  writersHeldMs: { p50: 1.1, p99: 123.4, max: 12_345 },
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
    ['a mismatch', { parity: { compared: 1, mismatched: 1 } }],
    ['no comparison', { parity: { compared: 0, mismatched: 0 } }],
    ['another stage', { stage: 'unified' }],
    ['a legacy table that differs', { rollback: { rowsDeleted: 1, legacyIntact: false } }],
  ])('does not call %s a success', (_what, fault) => {
    expect(succeeded(FIGURES)).toBe(true);
    expect(succeeded({ ...FIGURES, ...fault })).toBe(false);
  });
});

describe('the screen', () => {
  const written = (terminal: boolean) => {
    const stream = Object.assign(new PassThrough(), { isTTY: terminal, columns: 80 });
    const screen = openScreen(stream as unknown as NodeJS.WriteStream);
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

  it('keeps one line up to date on a terminal, and never lets it wrap', () => {
    const { screen, text } = written(true);
    screen.status('copy', 'x'.repeat(200));
    screen.line('done');
    const [status, , last] = text().split('\r');
    expect(status).toBe('');
    expect(last).toContain('done\n');
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
