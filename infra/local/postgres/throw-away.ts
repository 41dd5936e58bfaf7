import { createHash, randomUUID } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemCode } from './errors.ts';
import { isLocked } from './lock.ts';
import { runningServer, stopServer } from './server-process.ts';

/** The folder of this checkout and user that keeps its cluster from run to run. */
export function lastingHome(directory: string = process.cwd()): string {
  const checkout = createHash('sha256').update(directory).digest('hex').slice(0, 12);
  return join(tmpdir(), `unified-kits-${process.getuid?.() ?? 0}-${checkout}`);
}

/** A folder for one run. Several runs may go on at once, so each has its own. */
export function throwAwayHome(): string {
  return `${lastingHome()}-once-${randomUUID()}`;
}

/**
 * Stops and removes throw-away clusters whose process was killed before it could. The lock tells them
 * from those of runs going on; a folder without a lock is left alone, for it may be about to take one.
 */
export async function sweepThrowAways(): Promise<void> {
  const prefix = `${lastingHome()}-once-`;
  for (const entry of await readdir(tmpdir())) {
    const home = join(tmpdir(), entry);
    if (!home.startsWith(prefix)) continue;
    if (await isAbandoned(home)) {
      const orphan = await runningServer(dataDirectoryOf(home));
      if (orphan) await stopServer(orphan, 'immediate');
      await rm(home, { recursive: true, force: true });
    }
  }
}

/** The data directory inside such a folder; its log and its lock lie beside it. */
export function dataDirectoryOf(home: string): string {
  return join(home, 'data');
}

async function isAbandoned(home: string): Promise<boolean> {
  try {
    if ((await lstat(home)).uid !== process.getuid?.()) return false;
    const lock = await lstat(`${dataDirectoryOf(home)}.lock`);
    return lock.isFile() && !(await isLocked(dataDirectoryOf(home)));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return false;
  }
}
