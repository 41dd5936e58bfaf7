import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { foldLedger } from '../../infra/local/writers/fold-ledger.ts';
import { quantiles } from '../../infra/local/writers/latencies.ts';
import {
  type Content,
  type Intent,
  type LedgerEntry,
  type Outcome,
  openLedger,
  readLedger,
} from '../../infra/local/writers/ledger.ts';

/** A change of the kit with this key, or without one the making of kit number n. */
const intent = (
  n: number,
  key: string | null,
  content: Content = { orderId: `t${n}` },
): Intent => ({
  kind: 'intent',
  n,
  source: 'kit',
  key,
  caller: { userId: 'user' },
  contract: 'legacy',
  request: { method: key === null ? 'POST' : 'PATCH', path: '/kits', headers: {}, body: '{}' },
  content: key === null ? { kitNumber: `W${n}`, ...content } : content,
});
const outcome = (n: number, result: Outcome['result'], key: string | null): Outcome => ({
  kind: 'outcome',
  n,
  result,
  key: result === 'ok' ? key : null,
  tries: 1,
});
const entry = (
  n: number,
  key: string | null,
  result: Outcome['result'] | 'killed',
  given: { readonly key?: string; readonly content?: Content } = {},
): LedgerEntry => ({
  writer: 0,
  intent: intent(n, key, given.content),
  outcome: result === 'killed' ? undefined : outcome(n, result, key ?? given.key ?? null),
});
const only = (entries: readonly LedgerEntry[]) => [...foldLedger(entries).values()];

describe('the ledger, folded', () => {
  it('expects what the acknowledged writes have left together', () => {
    const entries = [
      entry(1, 'a', 'ok', { content: { orderId: 't1', status: 'registered' } }),
      entry(2, 'a', 'ok'),
    ];
    expect(only(entries)).toMatchObject([
      { key: 'a', possible: [{ orderId: 't2', status: 'registered' }], acknowledged: 2 },
    ]);
  });

  it('allows for a later write that nobody heard of again', () => {
    expect(only([entry(1, 'a', 'ok'), entry(2, 'a', 'killed')])).toMatchObject([
      { possible: [{ orderId: 't1' }, { orderId: 't2' }], acknowledged: 1 },
    ]);
  });

  it('lets a refused write change nothing', () => {
    expect(only([entry(1, 'a', 'ok'), entry(2, 'a', 'refused')])).toMatchObject([
      { possible: [{ orderId: 't1' }], acknowledged: 1 },
    ]);
    expect(only([entry(1, 'a', 'refused')])).toMatchObject([{ possible: [{}], acknowledged: 0 }]);
  });

  it('follows a new kit from its number to its key', () => {
    expect(only([entry(1, null, 'ok', { key: '77' }), entry(2, '77', 'ok')])).toEqual([
      {
        source: 'kit',
        key: '77',
        number: 'W1',
        possible: [{ kitNumber: 'W1', orderId: 't2' }],
        acknowledged: 2,
      },
    ]);
  });

  it('expects nothing of a kit that was refused, and either of one that was cut off', () => {
    expect(only([entry(1, null, 'refused')])).toMatchObject([{ possible: [null] }]);
    expect(only([entry(1, null, 'killed')])).toMatchObject([
      { key: undefined, number: 'W1', possible: [null, { kitNumber: 'W1', orderId: 't1' }] },
    ]);
  });

  it('expects anything of an untouched kit whose first change was cut off, but that it is there', () => {
    expect(only([entry(1, 'a', 'killed')])).toMatchObject([{ possible: [{}, { orderId: 't1' }] }]);
  });
});

describe('the ledger file', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'kits-ledger-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('loses at most the record being written when the process is cut off at any byte', async () => {
    const ledger = openLedger(directory, 0);
    for (let n = 1; n <= 5; n += 1) {
      ledger.append(intent(n, `k${n}`));
      ledger.append(outcome(n, 'ok', `k${n}`));
    }
    ledger.close();
    const [name] = readdirSync(directory);
    const path = join(directory, name ?? '');
    const whole = readFileSync(path, 'utf8');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: whole.length }), async (length) => {
        writeFileSync(path, whole.slice(0, length));
        const next = openLedger(directory, 0);
        next.append(intent(9, 'k9'));
        next.close();
        const { entries } = await readLedger(directory);
        // A last line that lacks only its line end is whole.
        const records = whole
          .slice(0, length)
          .split('\n')
          .filter((text) => text.endsWith('}'));
        const intents = records.filter((text) => text.includes('"intent"') && isWhole(text));
        const outcomes = records.filter((text) => text.includes('"outcome"') && isWhole(text));
        expect(entries.length).toBe(intents.length + 1);
        expect(entries.filter((one) => one.outcome !== undefined).length).toBe(outcomes.length);
      }),
      { numRuns: 60 },
    );
  });
});

const isWhole = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('quantiles', () => {
  it('are ranks of what was measured, and 0 of nothing', () => {
    expect(quantiles([])).toEqual({ p50: 0, p99: 0, max: 0 });
    expect(quantiles([5])).toEqual({ p50: 5, p99: 5, max: 5 });
    expect(quantiles(Array.from({ length: 200 }, (_, index) => 200 - index))).toEqual({
      p50: 100,
      p99: 198,
      max: 200,
    });
  });
});
