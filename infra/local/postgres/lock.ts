import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { DataDirectoryInUseError, PostgresStartError, systemCode } from './errors.ts';
import { identify, isStillAlive, type ProcessIdentity } from './processes.ts';

type Holder = ProcessIdentity & { readonly token: string };

/** A held lock; `release` gives it up and never fails when it is gone already. */
export type DirectoryLock = { release(): Promise<void> };

/**
 * Takes the lock of a data directory (a file beside it) for this process. A lock whose holder is dead
 * (kill -9) is taken over.
 *
 * Postgres' own postmaster.pid cannot do this: it tells a running server, not whether the process that
 * started it still lives, and that is what makes the difference between "in use" and "an orphan".
 *
 * @throws DataDirectoryInUseError naming the live process that holds it.
 */
export async function lockDirectory(dataDirectory: string): Promise<DirectoryLock> {
  const path = lockPath(dataDirectory);
  const self = await identify(process.pid);
  if (!self) throw new PostgresStartError(`Process ${process.pid} cannot find itself.`);
  const own: Holder = { ...self, token: randomUUID() };
  while (!(await take(path, own))) await refuseIfHeld(path, dataDirectory);
  return {
    async release() {
      if ((await readHolder(path))?.token === own.token) await rm(path, { force: true });
    },
  };
}

/** Takes the lock where it is free or its holder is dead. */
async function take(path: string, own: Holder): Promise<boolean> {
  const draft = `${path}.${own.token}`;
  await writeFile(draft, JSON.stringify(own));
  try {
    // A link appears with its content; a file created and then written can be read empty in between.
    await link(draft, path);
    return true;
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    const holder = await readHolder(path);
    if (holder && (await isStillAlive(holder))) return false;
    await rename(draft, path);
    // Two processes can find the same dead holder at once: the later rename wins, the other sees it.
    await sleep(100);
    return (await readHolder(path))?.token === own.token;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Whether a live process holds the data directory. */
export async function isLocked(dataDirectory: string): Promise<boolean> {
  const holder = await readHolder(lockPath(dataDirectory));
  return holder !== undefined && (await isStillAlive(holder));
}

function lockPath(dataDirectory: string): string {
  return `${dataDirectory}.lock`;
}

async function refuseIfHeld(path: string, dataDirectory: string): Promise<void> {
  const holder = await readHolder(path);
  if (!holder || !(await isStillAlive(holder))) return;
  throw new DataDirectoryInUseError(
    `The data directory ${dataDirectory} is in use by process ${holder.pid}. ` +
      'Wait for it to end, stop it, or give this one another data directory.',
  );
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    const held: unknown = JSON.parse(await readFile(path, 'utf8'));
    return isHolder(held) ? held : undefined;
  } catch (error) {
    // Not what we write: nobody holds it.
    if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isHolder(value: unknown): value is Holder {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    typeof value.pid === 'number' &&
    'startedAt' in value &&
    typeof value.startedAt === 'string' &&
    'token' in value &&
    typeof value.token === 'string'
  );
}
