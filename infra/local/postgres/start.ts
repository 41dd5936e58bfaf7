import { mkdir, realpath, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Binaries, type BinarySources, findBinaries } from './binaries.ts';
import { checkParent, ensureCluster } from './cluster.ts';
import { type DirectoryLock, lockDirectory } from './lock.ts';
import { freePort, requireFreePort } from './port.ts';
import { type ProcessIdentity, signal } from './processes.ts';
import {
  endLeftBackends,
  isMemoryHeld,
  isPortBusy,
  launch,
  removeStalePidFile,
  runningServer,
  type StopMode,
  stopServer,
} from './server-process.ts';
import { type ServerUser, serverUser } from './server-user.ts';
import { effectiveSettings, type Settings } from './settings.ts';
import { dataDirectoryOf, lastingHome, sweepThrowAways, throwAwayHome } from './throw-away.ts';

export type PostgresOptions = {
  /** Where the cluster lives. By default one folder per checkout and user, below the temporary folder. */
  readonly dataDirectory?: string;
  /** Server settings on top of the laptop's (see settings.ts), as Postgres spells them. */
  readonly settings?: Settings;
  /** A free one by default. */
  readonly port?: number;
  /** Delete the cluster on `stop()`; without a `dataDirectory` it also gets a folder of its own. */
  readonly ephemeral?: boolean;
  /** Other binaries than the installed package's. */
  readonly binaries?: BinarySources;
};

export type LocalPostgres = {
  /** Connection string of the superuser, for the database `postgres`. It holds the password. */
  readonly url: string;
  readonly dataDirectory: string;
  readonly logFile: string;
  /** The postmaster's process id. */
  readonly pid: number;
  /** Whether a server of a killed process was found and stopped first. */
  readonly replacedOrphan: boolean;
  /** Stops the server and waits for its end; again is harmless. `fast` unless told otherwise. */
  stop(options?: { readonly mode?: StopMode }): Promise<void>;
};

/**
 * Starts Postgres on this machine, on 127.0.0.1 only, making the cluster first where there is none.
 *
 * A server that outlived its process (kill -9) is stopped and started again; a data directory left by a
 * crash recovers. Works as root (the server then runs as another user) and as an ordinary user. The
 * caller calls `stop()`; should the process end without, the server is told to stop then.
 *
 * @throws DataDirectoryInUseError when another live process runs it.
 * @throws DataDirectoryUnusableError, PostgresBinariesUnusableError, PortInUseError, PostgresStartError
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<LocalPostgres> {
  const ephemeral = options.ephemeral ?? false;
  if (ephemeral && !options.dataDirectory) await sweepThrowAways();
  const ownHome = options.dataDirectory ? undefined : ephemeral ? throwAwayHome() : lastingHome();
  const dataDirectory = await canonical(options.dataDirectory ?? dataDirectoryOf(ownHome ?? ''));
  const logFile = `${dataDirectory}.log`;
  const remove = async () => {
    if (!ephemeral) return;
    await rm(dataDirectory, { recursive: true, force: true });
    await rm(logFile, { force: true });
    if (ownHome) await rm(ownHome, { recursive: true, force: true });
  };

  const user = await serverUser();
  const binaries = await findBinaries(user, options.binaries);
  await checkParent(dataDirectory, user, ownHome !== undefined);
  const lock = await lockDirectory(dataDirectory);
  try {
    const orphan = await runningServer(dataDirectory);
    if (orphan) await stopServer(orphan, 'fast');
    else await removeStalePidFile(dataDirectory);
    const settings = await effectiveSettings(options.settings);
    const password = await ensureCluster(dataDirectory, binaries, user, settings.fsync !== 'off');
    const { server, port } = await launchOnPort(options.port, {
      dataDirectory,
      logFile,
      settings,
      user,
      binaries,
    });
    return {
      url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
      dataDirectory,
      logFile,
      pid: server.pid,
      replacedOrphan: orphan !== undefined,
      stop: stopper(server, lock, remove),
    };
  } catch (error) {
    await lock.release();
    await remove();
    throw error;
  }
}

/** One path for one directory, through whatever links it was named: the lock lies beside it. */
async function canonical(dataDirectory: string): Promise<string> {
  const parent = dirname(resolve(dataDirectory));
  await mkdir(parent, { recursive: true, mode: 0o755 });
  return join(await realpath(parent), basename(dataDirectory));
}

type Target = {
  readonly dataDirectory: string;
  readonly logFile: string;
  readonly settings: Settings;
  readonly user: ServerUser;
  readonly binaries: Binaries;
};

async function launchOnPort(
  asked: number | undefined,
  { binaries, ...target }: Target,
): Promise<{ server: ProcessIdentity; port: number }> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const port = asked === undefined ? await freePort() : await requireFreePort(asked);
    try {
      return { server: await launch({ ...target, postgres: binaries.postgres, port }), port };
    } catch (error) {
      const passes = isMemoryHeld(error) || (isPortBusy(error) && asked === undefined);
      if (!passes || performance.now() > deadline) throw error;
      if (isMemoryHeld(error)) await endLeftBackends(target.dataDirectory);
      await sleep(250);
    }
  }
}

function stopper(
  server: ProcessIdentity,
  lock: DirectoryLock,
  remove: () => Promise<void>,
): LocalPostgres['stop'] {
  // A process that ends without stop() (an uncaught error, process.exit) must not leave a server behind.
  const lastResort = () => {
    signal(server.pid, 'SIGINT');
  };
  process.once('exit', lastResort);
  let stopping: Promise<void> | undefined;
  return (options = {}) => {
    stopping ??= (async () => {
      await stopServer(server, options.mode ?? 'fast');
      process.off('exit', lastResort);
      await lock.release();
      await remove();
    })();
    return stopping;
  };
}
