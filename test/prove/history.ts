import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Evidence } from './evidence.ts';

/**
 * What a client may write of a kit. Each of these has one writer at a time, which makes it a register: what it
 * must hold follows from what was asked for and what was answered. `exists` is `yes` or `no`.
 */
export type Field = 'exists' | 'orderId' | 'kitType';

/** One register's new value. Kits are named by their numbers, which nothing changes. */
export interface Assignment {
  readonly kit: string;
  readonly field: Field;
  readonly value: string;
}

export type Operation =
  /** One request or one transaction: all of it, or nothing. */
  | { readonly do: 'write'; readonly by: 'api' | 'sql'; readonly writes: readonly Assignment[] }
  /** All the kits named, whatever shows them. */
  | { readonly do: 'read'; readonly kits: readonly string[] }
  /** A message to the queue of jobs; `place` is how far along the way of a kit it leads. */
  | {
      readonly do: 'job';
      readonly jobId: string;
      readonly kit: string;
      readonly place: number;
    };

/** A kit as a reader saw it; the status as its place along the way. */
export interface SeenKit {
  readonly orderId: string | null;
  readonly kitType: string | null;
  readonly place: number;
  readonly kitsId: string | null;
}

/** `ok`: acknowledged. `failed`: refused, so it had no effect. `unknown`: nobody can say, now or ever. */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Invoked {
  readonly kind: 'invoke';
  readonly op: number;
  /** Milliseconds since the run began, as all times here. */
  readonly at: number;
  readonly client: string;
  readonly what: Operation;
}

export interface Returned {
  readonly kind: 'return';
  readonly op: number;
  readonly at: number;
  readonly outcome: Outcome;
  /** By kit number; null where it was not there. */
  readonly seen?: Readonly<Record<string, SeenKit | null>>;
  /** Why it did not succeed. */
  readonly fault?: string;
  /** The mirror in which a write failed, which must never be. */
  readonly refusedBy?: string;
}

/** What was done to the system, or noticed by who operates it: for whoever must understand a failure. */
export interface Noted {
  readonly kind: 'note';
  readonly at: number;
  readonly what: string;
  readonly detail?: unknown;
  /** An execution that failed with an error which tells an operator nothing. */
  readonly unforeseen?: boolean;
}

export type Entry = Invoked | Returned | Noted;

/** Takes the time, and writes each entry to its file before anything else happens. */
export class History {
  readonly entries: Entry[] = [];
  readonly file: string;
  readonly #began = performance.now();
  #ops = 0;

  /** @param file JSON, an entry a line; made anew */
  constructor(file: string) {
    this.file = file;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, '');
  }

  now(): number {
    return Math.round((performance.now() - this.#began) * 1000) / 1000;
  }

  #add(entry: Entry): void {
    this.entries.push(entry);
    appendFileSync(this.file, `${JSON.stringify(entry)}\n`);
  }

  /** What the run has left, for whoever checks it again. */
  keep(evidence: Evidence): void {
    appendFileSync(this.file, `${JSON.stringify({ kind: 'evidence', evidence })}\n`);
  }

  /** Before an operation leaves its client. @returns its number. */
  invoke(client: string, what: Operation): number {
    this.#ops += 1;
    this.#add({ kind: 'invoke', op: this.#ops, at: this.now(), client, what });
    return this.#ops;
  }

  /** When its client knows, or has given up. */
  returned(
    op: number,
    outcome: Outcome,
    more: Pick<Returned, 'seen' | 'fault' | 'refusedBy'> = {},
  ) {
    this.#add({ kind: 'return', op, at: this.now(), outcome, ...more });
  }

  note(what: string, detail?: unknown, unforeseen = false): void {
    this.#add({
      kind: 'note',
      at: this.now(),
      what,
      ...(detail === undefined ? {} : { detail }),
      ...(unforeseen ? { unforeseen } : {}),
    });
  }
}

/** What a run has left, as its file keeps it: the last line of it. */
interface Kept {
  readonly kind: 'evidence';
  readonly evidence: Evidence;
}

/** A run as its file tells it; without evidence where it did not come to its end. */
export const readHistory = (
  file: string,
): { readonly entries: readonly Entry[]; readonly evidence: Evidence | undefined } => {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry | Kept);
  return {
    entries: lines.filter((line) => line.kind !== 'evidence'),
    evidence: lines.find((line) => line.kind === 'evidence')?.evidence,
  };
};

/** An operation from its beginning to its end; one without an answer ends never, its outcome unknown. */
export interface Done<What extends Operation = Operation> {
  readonly op: number;
  readonly client: string;
  readonly what: What;
  readonly from: number;
  readonly to: number;
  readonly outcome: Outcome;
  readonly seen: Readonly<Record<string, SeenKit | null>>;
  readonly fault: string | undefined;
  readonly refusedBy: string | undefined;
}

/** Pairs what was asked with what was answered. */
export const operations = (entries: readonly Entry[]): readonly Done[] => {
  const answers = new Map<number, Returned>();
  for (const entry of entries) if (entry.kind === 'return') answers.set(entry.op, entry);
  return entries.flatMap((entry): Done[] => {
    if (entry.kind !== 'invoke') return [];
    const { op, client, what, at } = entry;
    const answer = answers.get(op);
    return [
      {
        op,
        client,
        what,
        from: at,
        to:
          answer === undefined || answer.outcome === 'unknown'
            ? Number.POSITIVE_INFINITY
            : answer.at,
        outcome: answer?.outcome ?? 'unknown',
        seen: answer?.seen ?? {},
        fault: answer?.fault,
        refusedBy: answer?.refusedBy,
      },
    ];
  });
};
