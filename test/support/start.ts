import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Figures } from '../../infra/local/cli/figures.ts';

const SCRIPT = fileURLToPath(new URL('../../infra/local/start.ts', import.meta.url));

/** The last line of `--json`: figures, the findings of `--blockers`, or an error. */
export interface Printed extends Partial<Figures> {
  /** Where the report of the run is. */
  readonly reportFile?: string;
  readonly verdict?: string;
  readonly missing?: readonly string[];
  readonly blockers?: readonly { readonly code: string }[];
  readonly error?: { readonly name: string; readonly message: string };
}

export interface Ended {
  /** Undefined after a signal. */
  readonly code: number | undefined;
  readonly output: string;
  readonly errors: string;
  /** The last line of the output, parsed; empty where it is no JSON. */
  readonly json: Printed;
}

export interface Started {
  readonly ended: Promise<Ended>;
  /** What it has printed so far. */
  output(): string;
  /** Resolves when the output contains a text; rejects when the process ends without. */
  shows(text: string): Promise<void>;
  signal(name: NodeJS.Signals): void;
}

/** The closing figures of a run that was rolled back and lost nothing. */
export const TAKEN_BACK = {
  stage: 'legacy',
  parity: { mismatched: 0 },
  writes: { lost: 0, unexpected: 0 },
  reads: { stale: 0 },
  requests: { all: { errors: 0 } },
  rollback: { legacyIntact: true },
};

/** A folder that the embedded server's user can enter, which `mkdtemp` would not make. */
export const freshHome = (): string => join(tmpdir(), `kits-start-${randomUUID()}`);

const lastLine = (output: string): Printed => {
  try {
    return JSON.parse(output.trimEnd().split('\n').at(-1) ?? '');
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
};

/** `npm start` as a process of its own, with its data in `home`. */
export const startAt = (
  home: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Started => {
  const { DATABASE_URL: _url, KITS_MAPPING: _mapping, ...inherited } = process.env;
  const child = spawn(process.execPath, [SCRIPT, '--data-dir', home, ...args], {
    env: { ...inherited, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  let over = false;
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      over = true;
      resolve({ code: code ?? undefined, output, errors, json: lastLine(output) });
    });
  });
  return {
    ended,
    output: () => output,
    async shows(text) {
      while (!output.includes(text)) {
        if (over) throw new Error(`the process ended without "${text}":\n${output}\n${errors}`);
        await sleep(10);
      }
    },
    signal: (name) => child.kill(name),
  };
};
