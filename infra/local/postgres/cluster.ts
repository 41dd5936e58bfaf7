import { execFile } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { chown, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Binaries } from './binaries.ts';
import { DataDirectoryUnusableError, PostgresStartError, systemCode } from './errors.ts';
import type { ServerUser } from './server-user.ts';

const run = promisify(execFile);

/** Kept inside the data directory, which only the server's user (and root) can enter. */
const PASSWORD_FILE = 'unified-kits.password';

/**
 * Makes the cluster unless it is there, and returns the superuser's password.
 *
 * initdb works in a folder beside the final one and is renamed when whole, so a process killed half way
 * never leaves a directory that looks like a cluster and is none.
 *
 * @throws DataDirectoryUnusableError when the directory holds something else, or another version.
 * @throws PostgresStartError when initdb fails.
 */
export async function ensureCluster(
  dataDirectory: string,
  binaries: Binaries,
  user: ServerUser,
  durable: boolean,
): Promise<string> {
  await removeUnfinished(dataDirectory);
  const version = await readIfThere(join(dataDirectory, 'PG_VERSION'));
  if (version === undefined) await createCluster(dataDirectory, binaries, user, durable);
  else if (version.trim() !== binaries.major) {
    throw new DataDirectoryUnusableError(
      `${dataDirectory} was made by Postgres ${version.trim()}, and this is ${binaries.major}. ` +
        'Remove it, or use another directory.',
    );
  }
  const password = await readIfThere(join(dataDirectory, PASSWORD_FILE));
  if (password === undefined) {
    throw new DataDirectoryUnusableError(
      `${dataDirectory} is a Postgres cluster that this program did not make. Use another directory.`,
    );
  }
  return password.trim();
}

async function createCluster(
  dataDirectory: string,
  binaries: Binaries,
  user: ServerUser,
  durable: boolean,
): Promise<void> {
  await refuseForeignContent(dataDirectory);
  const unfinished = `${dataDirectory}.new-${randomUUID()}`;
  await mkdir(unfinished, { mode: 0o700 });
  if (user.uid !== undefined && user.gid !== undefined) {
    await chown(unfinished, user.uid, user.gid);
  }
  const password = randomBytes(24).toString('hex');
  // initdb wants an empty directory, so the file waits outside until it is done.
  const passwordFile = `${unfinished}.password`;
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user.uid !== undefined && user.gid !== undefined) {
    await chown(passwordFile, user.uid, user.gid);
  }
  try {
    await run(
      binaries.initdb,
      [
        `--pgdata=${unfinished}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        // 192 random bits need no stretching, and every connection would pay for it.
        '--set=scram_iterations=1',
        '--encoding=UTF8',
        // The same order and case rules on every machine, whatever its locales; ICU stays available.
        '--locale=C',
        '--locale-provider=builtin',
        '--builtin-locale=C.UTF-8',
        ...(durable ? [] : ['--no-sync']),
      ],
      { ...user, cwd: '/', env: { ...process.env, LC_ALL: 'C' } },
    );
    await rename(passwordFile, join(unfinished, PASSWORD_FILE));
    await rename(unfinished, dataDirectory);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    await rm(passwordFile, { force: true });
    throw new PostgresStartError(
      `Postgres could not create its data directory ${dataDirectory}: ` +
        `${error instanceof Error ? error.message.trim() : String(error)}`,
      { cause: error },
    );
  }
}

async function refuseForeignContent(dataDirectory: string): Promise<void> {
  let entries: string[];
  try {
    entries = await readdir(dataDirectory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
    throw error;
  }
  if (entries.length > 0) {
    throw new DataDirectoryUnusableError(
      `${dataDirectory} holds files but no Postgres cluster. Use an empty or a new directory.`,
    );
  }
}

async function removeUnfinished(dataDirectory: string): Promise<void> {
  const prefix = `${basename(dataDirectory)}.new-`;
  const parent = dirname(dataDirectory);
  for (const entry of await readdir(parent)) {
    if (entry.startsWith(prefix)) await rm(join(parent, entry), { recursive: true, force: true });
  }
}

/**
 * Checks the folder that holds the data directory, its log and its lock.
 *
 * @throws DataDirectoryUnusableError when another user made it, or the server's user cannot enter it.
 */
export async function checkParent(
  dataDirectory: string,
  user: ServerUser,
  chosenByUs: boolean,
): Promise<void> {
  const parent = dirname(dataDirectory);
  // Our names below a shared temporary folder can be guessed, so what is there must be our own. A
  // directory that was asked for is the asker's choice, whoever owns it.
  if (chosenByUs && (await lstat(parent)).uid !== process.getuid?.()) {
    throw new DataDirectoryUnusableError(
      `${parent} belongs to another user. Remove it, or use another directory.`,
    );
  }
  if (user.uid === undefined) return;
  try {
    await run('/bin/sh', ['-c', 'cd -- "$1"', 'sh', parent], { ...user, cwd: '/' });
  } catch (error) {
    throw new DataDirectoryUnusableError(
      `Postgres does not run as root, and the user it runs as instead (id ${user.uid}) cannot enter ${parent}. ` +
        'Use a data directory below a folder everybody can enter, such as /var/tmp.',
      { cause: error },
    );
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
