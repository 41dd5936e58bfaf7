import { execFile } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A cluster with some hundred kits and its write-ahead log, and some room. */
const SIZE = '256m';
/** In bytes: as much as fits of each size. */
const PIECES = [8_388_608, 65_536, 4_096];

/** A disk of its own for a server, small enough to be filled. */
export interface SmallDisk {
  /** Leaves not a byte on it. */
  fill(): Promise<void>;
  free(): Promise<void>;
  remove(): Promise<void>;
}

const fits = async (write: () => Promise<unknown>): Promise<boolean> => {
  try {
    await write();
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return false;
    throw error;
  }
};

/** @returns the disk, mounted at a directory that is made for it; undefined for who may not mount any. */
export const smallDisk = async (directory: string): Promise<SmallDisk | undefined> => {
  await mkdir(directory, { recursive: true });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=755`, 'tmpfs', directory]);
  } catch {
    // Only root may, and not in every container.
    return undefined;
  }
  const ballast = join(directory, 'ballast');
  return {
    async fill() {
      const file = await open(ballast, 'w');
      try {
        for (const bytes of PIECES) {
          const piece = Buffer.alloc(bytes);
          while (await fits(() => file.write(piece)));
        }
      } finally {
        await file.close();
      }
    },
    free: () => rm(ballast, { force: true }),
    async remove() {
      await run('umount', ['-l', directory]);
    },
  };
};
