import { appendFileSync, closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SOURCES } from '@unified-kits/domain';
import { z } from 'zod';

/** A write as it is sent, but for the token: sent again it is the same request, byte for byte. */
const request = z.strictObject({
  method: z.enum(['POST', 'PATCH']),
  path: z.string(),
  /** `idempotency-key` of a POST; `if-match` of a PATCH that is sure of what it changes. */
  headers: z.record(z.string(), z.string()),
  body: z.string(),
});

const intent = z.strictObject({
  kind: z.literal('intent'),
  /** Number of the write, rising within one writer's file. */
  n: z.int(),
  source: z.enum(SOURCES),
  /** The legacy id; null for a new kit, whose id the store gives. */
  key: z.string().nullable(),
  /** Whose kit it is. */
  caller: z.strictObject({ userId: z.string(), practitionerId: z.string().optional() }),
  contract: z.enum(['legacy', 'v2']),
  request,
  /** What the write leaves in the kit, by field, in the words of `kits`. */
  content: z.record(z.string(), z.string()),
});
export type Intent = z.output<typeof intent>;
export type Content = Intent['content'];

const outcome = z.strictObject({
  kind: z.literal('outcome'),
  n: z.int(),
  /** `refused`: it changed nothing. */
  result: z.enum(['ok', 'refused']),
  key: z.string().nullable(),
  /** How often the request was sent until it was answered. */
  tries: z.int(),
});
export type Outcome = z.output<typeof outcome>;

const exchange = z.strictObject({
  kind: z.literal('exchange'),
  /** When the request was sent, in milliseconds of the epoch. */
  at: z.number(),
  /** Until the whole answer was there, in milliseconds. */
  ms: z.number(),
  write: z.boolean(),
  /** 0 where the connection failed. */
  status: z.int(),
  /** Not an answer that this request was to have: a network failure, 5xx, an unexpected refusal. */
  error: z.boolean(),
});
export type Exchange = z.output<typeof exchange>;

/** A read of what was written before: whether it showed it. */
const check = z.strictObject({ kind: z.literal('check'), stale: z.boolean() });
export type Check = z.output<typeof check>;

const line = z.discriminatedUnion('kind', [intent, outcome, exchange, check]);
type Line = z.output<typeof line>;

/** A write as the ledger tells it: without an outcome where no answer came, or none before the process died. */
export interface LedgerEntry {
  readonly writer: number;
  readonly intent: Intent;
  readonly outcome: Outcome | undefined;
}

/** What all writers did, in each writer's order, by however many processes. */
export interface LedgerContent {
  readonly entries: readonly LedgerEntry[];
  readonly exchanges: readonly Exchange[];
  readonly checks: readonly Check[];
}

const fileName = (writer: number) => `ledger-${writer}.jsonl`;

/** The append-only record of one writer. Each line is with the kernel before `append` returns. */
export interface Ledger {
  append(record: Line): void;
  close(): void;
}

/**
 * Opens a writer's file for appending. No fsync: what must survive is this process's death, not the
 * machine's, and the page cache does.
 */
export const openLedger = (directory: string, writer: number): Ledger => {
  const descriptor = openSync(join(directory, fileName(writer)), 'a', 0o600);
  // A killed predecessor may have left half a line: end it, so that ours begins on its own.
  appendFileSync(descriptor, '\n');
  return {
    append: (record) => appendFileSync(descriptor, `${JSON.stringify(record)}\n`),
    close: () => closeSync(descriptor),
  };
};

const parseLine = (text: string): Line | undefined => {
  try {
    return line.parse(JSON.parse(text));
  } catch (error) {
    // Cut short by a kill: an intent cut short was never tried, an outcome cut short is unknown.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/** Reads every writer's file. */
export const readLedger = async (directory: string): Promise<LedgerContent> => {
  const entries: LedgerEntry[] = [];
  const exchanges: Exchange[] = [];
  const checks: Check[] = [];
  for (const name of (await readdir(directory)).sort()) {
    const writer = /^ledger-(\d+)\.jsonl$/.exec(name)?.[1];
    if (writer === undefined) continue;
    const intents = new Map<number, Intent>();
    const outcomes = new Map<number, Outcome>();
    for (const text of (await readFile(join(directory, name), 'utf8')).split('\n')) {
      const record = text === '' ? undefined : parseLine(text);
      if (record?.kind === 'intent') intents.set(record.n, record);
      else if (record?.kind === 'outcome') outcomes.set(record.n, record);
      else if (record?.kind === 'exchange') exchanges.push(record);
      else if (record?.kind === 'check') checks.push(record);
    }
    for (const [n, one] of intents)
      entries.push({ writer: Number(writer), intent: one, outcome: outcomes.get(n) });
  }
  return { entries, exchanges, checks };
};
