import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { announce } from '../../infra/local/cli/announce.ts';
import type { System } from '../../infra/local/system.ts';

const SCRIPT = fileURLToPath(new URL('../../infra/cli/kits.ts', import.meta.url));

/** How a command ended. */
export interface Told {
  readonly code: number | undefined;
  readonly output: string;
  readonly remarks: string;
  /** The output, parsed. */
  json<Value = Record<string, unknown>>(): Value;
}

export interface KitsOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Interrupts it, as Ctrl-C does, when it has said this. */
  readonly interruptAt?: string;
}

/** The command line as a process of its own; what this process's environment says of systems is not passed on. */
export const kitsProcess = (
  args: readonly string[],
  { environment = {}, interruptAt }: KitsOptions = {},
): Promise<Told> => {
  const { DATABASE_URL: _url, KITS_ENVIRONMENT: _name, ...inherited } = process.env;
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { ...inherited, AWS_EC2_METADATA_DISABLED: 'true', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let remarks = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    remarks += chunk;
    if (interruptAt !== undefined && remarks.includes(interruptAt)) child.kill('SIGINT');
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code: code ?? undefined, output, remarks, json: () => JSON.parse(output) }),
    );
  });
};

/** The command line beside a system of this process. */
export interface KitsCli {
  readonly dataDirectory: string;
  /** What every command begins with: where the system is, and who acts. */
  readonly place: readonly string[];
  kits(...args: readonly string[]): Promise<Told>;
  close(): Promise<void>;
}

export const kitsCliOf = async (system: System, environment: string): Promise<KitsCli> => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'kits-cli-'));
  const withdraw = await announce(dataDirectory, system, environment);
  const place = ['--data-dir', dataDirectory, '--actor', 'operator'];
  return {
    dataDirectory,
    place,
    kits: (...args) => kitsProcess([...place, ...args]),
    async close() {
      await withdraw();
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
};
