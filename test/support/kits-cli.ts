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

type Variables = Readonly<Record<string, string>>;

/** The command line as a process of its own; what this process's environment says of systems is not passed on. */
export const kitsProcess = (
  args: readonly string[],
  {
    input = '',
    environment = {},
  }: { readonly input?: string; readonly environment?: Variables } = {},
): Promise<Told> => {
  const { DATABASE_URL: _url, KITS_ENVIRONMENT: _name, ...inherited } = process.env;
  const child = spawn(process.execPath, [SCRIPT, ...args], {
    env: { ...inherited, AWS_EC2_METADATA_DISABLED: 'true', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  let remarks = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  child.stderr.on('data', (chunk) => {
    remarks += chunk;
  });
  child.stdin.end(input);
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
  kits(...args: readonly string[]): Promise<Told>;
  close(): Promise<void>;
}

export const kitsCliOf = async (system: System, environment: string): Promise<KitsCli> => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'kits-cli-'));
  const withdraw = await announce(dataDirectory, system, environment);
  return {
    dataDirectory,
    kits: (...args) => kitsProcess(['--data-dir', dataDirectory, '--actor', 'operator', ...args]),
    async close() {
      await withdraw();
      await rm(dataDirectory, { recursive: true, force: true });
    },
  };
};
