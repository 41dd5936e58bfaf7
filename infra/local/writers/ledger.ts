import { appendFileSync, closeSync, openSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SOURCES } from '@unified-kits/domain';
import { z } from 'zod';

/** What a write leaves in a row, in the words of `kits`. */
const content = z.strictObject({
  /** Unique to the write: what tells one write's content from another's. */
  token: z.string(),
  /** Absent where the mapping has no value map to choose from. */
  status: z.string().optional(),
});
export type Content = z.output<typeof content>;

const intent = z.strictObject({
  kind: z.literal('intent'),
  /** Number of the write, rising within one writer's file. */
  n: z.int(),
  op: z.enum(['insert', 'update', 'delete']),
  source: z.enum(SOURCES),
  /** The legacy id; null for an insert, whose id the store gives. */
  key: z.string().nullable(),
  /** The kit number that an insert gives; null otherwise. */
  number: z.string().nullable(),
  content: content.nullable(),
});
export type Intent = z.output<typeof intent>;

const outcome = z.strictObject({
  kind: z.literal('outcome'),
  n: z.int(),
  /** `unknown`: the answer never came, so the write may or may not have happened. */
  result: z.enum(['ok', 'failed', 'unknown']),
  store: z.enum(['legacy', 'kits']),
  key: z.string().nullable(),
  /** SQLSTATE or system code of a failure. */
  code: z.string().optional(),
  /** From the first try to the answer, in milliseconds, with what the fence and its redirection took. */
  ms: z.number(),
});
export type Outcome = z.output<typeof outcome>;
const line = z.discriminatedUnion('kind', [intent, outcome]);

/** A write as the ledger tells it: without an outcome where the process died before it wrote one. */
export interface LedgerEntry {
  readonly writer: number;
  readonly intent: Intent;
  readonly outcome: Outcome | undefined;
}

const fileName = (writer: number) => `ledger-${writer}.jsonl`;

/** The append-only record of one writer. Each line is with the kernel before `append` returns. */
export interface Ledger {
  append(record: Intent | Outcome): void;
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

const parseLine = (text: string): Intent | Outcome | undefined => {
  try {
    return line.parse(JSON.parse(text));
  } catch (error) {
    // Cut short by a kill: an intent cut short was never tried, an outcome cut short is unknown.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
};

/** Every write of every writer, in each writer's order. */
export const readLedger = async (directory: string): Promise<readonly LedgerEntry[]> => {
  const entries: LedgerEntry[] = [];
  for (const name of (await readdir(directory)).sort()) {
    const writer = /^ledger-(\d+)\.jsonl$/.exec(name)?.[1];
    if (writer === undefined) continue;
    const intents = new Map<number, Intent>();
    const outcomes = new Map<number, Outcome>();
    for (const text of (await readFile(join(directory, name), 'utf8')).split('\n')) {
      if (text === '') continue;
      const record = parseLine(text);
      if (record?.kind === 'intent') intents.set(record.n, record);
      else if (record?.kind === 'outcome') outcomes.set(record.n, record);
    }
    for (const [n, one] of intents)
      entries.push({ writer: Number(writer), intent: one, outcome: outcomes.get(n) });
  }
  return entries;
};
