import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { foldLedger } from '../../infra/local/writers/fold-ledger.ts';
import { quantiles } from '../../infra/local/writers/latencies.ts';
import {
  type Intent,
  type LedgerEntry,
  type Outcome,
  openLedger,
  readLedger,
} from '../../infra/local/writers/ledger.ts';

const intent = (n: number, op: Intent['op'], key: string | null): Intent => ({
  kind: 'intent',
  n,
  op,
  source: 'kit',
  key,
  number: op === 'insert' ? `W${n}` : null,
  content: op === 'delete' ? null : { token: `t${n}` },
});
const outcome = (n: number, result: Outcome['result'], key: string | null): Outcome => ({
  kind: 'outcome',
  n,
  result,
  store: 'legacy',
  key: result === 'ok' ? key : null,
  ms: 1,
});
const entry = (
  n: number,
  op: Intent['op'],
  key: string | null,
  result: Outcome['result'] | 'killed',
  given = key,
): LedgerEntry => ({
  writer: 0,
  intent: intent(n, op, key),
  outcome: result === 'killed' ? undefined : outcome(n, result, given),
});
const only = (entries: readonly LedgerEntry[]) => [...foldLedger(entries).values()];

describe('the ledger, folded', () => {
  it('expects the last acknowledged content', () => {
    expect(only([entry(1, 'update', 'a', 'ok'), entry(2, 'update', 'a', 'ok')])).toMatchObject([
      { key: 'a', possible: [{ token: 't2' }], acknowledged: 2, doubtful: false },
    ]);
  });

  it('allows for a later write that nobody heard of again', () => {
    expect(only([entry(1, 'update', 'a', 'ok'), entry(2, 'delete', 'a', 'killed')])).toMatchObject([
      { possible: [{ token: 't1' }, null], doubtful: true },
    ]);
  });

  it('lets a failed write change nothing', () => {
    expect(only([entry(1, 'update', 'a', 'ok'), entry(2, 'update', 'a', 'failed')])).toMatchObject([
      { possible: [{ token: 't1' }], acknowledged: 1 },
    ]);
    expect(only([entry(1, 'update', 'a', 'failed')])).toEqual([]);
  });

  it('follows an inserted row from its number to its key', () => {
    expect(
      only([
        entry(1, 'insert', null, 'ok', '77'),
        entry(2, 'update', '77', 'ok'),
        entry(3, 'delete', '77', 'ok'),
      ]),
    ).toMatchObject([{ key: '77', number: 'W1', possible: [null], acknowledged: 3 }]);
  });

  it('expects nothing of an insert that failed, and either of one that was cut off', () => {
    expect(only([entry(1, 'insert', null, 'failed')])).toMatchObject([{ possible: [null] }]);
    expect(only([entry(1, 'insert', null, 'killed')])).toMatchObject([
      { key: undefined, number: 'W1', possible: [null, { token: 't1' }] },
    ]);
  });

  it('says nothing of an untouched row whose first write was cut off', () => {
    expect(only([entry(1, 'update', 'a', 'killed')])).toMatchObject([
      { possible: [], doubtful: true },
    ]);
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
      ledger.append(intent(n, 'update', `k${n}`));
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
        next.append(intent(9, 'update', 'k9'));
        next.close();
        const entries = await readLedger(directory);
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
