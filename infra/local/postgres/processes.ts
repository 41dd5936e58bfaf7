import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemCode } from './errors.ts';

const run = promisify(execFile);

/** What tells a process from a later one with the same number. */
export type ProcessIdentity = { readonly pid: number; readonly startedAt: string };

/**
 * The identity of a live process, or undefined when there is none. A zombie counts as gone: under a
 * container's first process that never reaps, it would otherwise look alive for ever.
 */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const stat = await readProc(pid, 'stat');
  if (stat !== undefined) {
    // The second field is the command in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [state, startTicks] = [fields[0], fields[19]];
    return state === 'Z' || state === 'X' || !startTicks
      ? undefined
      : { pid, startedAt: startTicks };
  }
  const listed = await ps(pid, ['stat=', 'lstart=']);
  return listed && !listed.startsWith('Z')
    ? { pid, startedAt: listed.replace(/^\S+\s+/, '') }
    : undefined;
}

/** The command line of a live process, or an empty string. */
export async function commandLine(pid: number): Promise<string> {
  const proc = await readProc(pid, 'cmdline');
  return proc?.replaceAll('\0', ' ') ?? (await ps(pid, ['command='])) ?? '';
}

/** The directory a process works in; undefined when it cannot be told, as everywhere but on Linux. */
export async function workingDirectory(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    return await readlink(`/proc/${pid}/cwd`);
  } catch (error) {
    // Gone, or another user's.
    const code = systemCode(error) ?? '';
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return undefined;
    throw error;
  }
}

/** The processes that work in a directory. Linux only; elsewhere none is found. */
export async function processesIn(directory: string): Promise<number[]> {
  if (process.platform !== 'linux') return [];
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (Number.isInteger(pid) && (await workingDirectory(pid)) === directory) found.push(pid);
  }
  return found;
}

/** Whether the very process that was identified before is still there. */
export async function isStillAlive(known: ProcessIdentity): Promise<boolean> {
  return (await identify(known.pid))?.startedAt === known.startedAt;
}

/** Waits until the process is gone; false when it still is there after `timeoutMs`. */
export async function waitForEnd(known: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (await isStillAlive(known)) {
    if (performance.now() > deadline) return false;
    await sleep(20);
  }
  return true;
}

/** Sends a signal; false when the process has gone in the meantime. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false;
    throw error;
  }
}

async function readProc(pid: number, file: string): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    return await readFile(`/proc/${pid}/${file}`, 'utf8');
  } catch (error) {
    const code = systemCode(error);
    // Gone before or while it was read; ps then finds nothing either.
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

async function ps(pid: number, columns: readonly string[]): Promise<string | undefined> {
  if (process.platform === 'linux') return undefined;
  try {
    const { stdout } = await run('ps', ['-p', String(pid), ...columns.flatMap((c) => ['-o', c])]);
    return stdout.trim() || undefined;
  } catch (error) {
    // ps exits with 1 when no such process exists.
    if (error instanceof Error && 'code' in error && error.code === 1) return undefined;
    throw error;
  }
}
