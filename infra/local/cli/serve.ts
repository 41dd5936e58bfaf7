import { appendFileSync } from 'node:fs';
import { openDatabase, readStage } from '@unified-kits/data';
import { PortInUseError } from '../postgres/errors.ts';
import { requireFreePort } from '../postgres/port.ts';
import { startSystem } from '../system.ts';
import { writerLogin } from '../writers/login.ts';
import { sampleKits } from '../writers/plan.ts';
import { announce } from './announce.ts';
import type { Cleanup } from './cleanup.ts';
import { count } from './numbers.ts';
import type { ServeOptions } from './options.ts';
import { type Prepared, prepare, seed } from './prepare.ts';
import { ENVIRONMENT, GRACE_MS } from './run.ts';
import { forgetRun, functionsLog, issuerKeyFile, parametersFile } from './run-state.ts';
import type { Screen } from './screen.ts';
import { type Owners, servedLines } from './served-lines.ts';
import { openTarget, type Target } from './target.ts';

/** Data are generated from this. */
const SEED_NUMBER = 1;

/** @throws {PortInUseError} naming the option. */
const requirePort = async (option: string, port: number): Promise<void> => {
  try {
    await requireFreePort(port);
  } catch (error) {
    if (!(error instanceof PortInUseError)) throw error;
    throw new PortInUseError(
      `${option} ${port}: another program listens there already. End it, or name another port.`,
    );
  }
};

/** Whether the data of an earlier start are there: they come in one transaction, so all of them or none. */
const isSeeded = async (target: Target): Promise<boolean> => {
  if (!(await target.exists())) return false;
  const db = openDatabase(target.databaseUrl, 1);
  try {
    const [row] = await db.query<{ there: boolean }>(
      `select to_regclass('public.kit') is not null as there`,
    );
    return row?.there === true;
  } finally {
    await db.close();
  }
};

const seedIfNew = async (
  target: Target,
  { rows, fresh }: ServeOptions,
  screen: Screen,
): Promise<void> => {
  if (!target.embedded) return;
  if (!fresh && (await isSeeded(target))) {
    screen.line('its data are those of an earlier time (--fresh makes new ones)');
    return;
  }
  // Flags belong to the data that they were set for.
  await forgetRun(target.stateDirectory);
  await seed(target, { rows, seedNumber: SEED_NUMBER, blockers: false });
  screen.line(`seeded with ${count(rows)} + ${count(rows)} rows`);
};

/** A client and a practitioner who have kits, as far as the database has such. */
const ownersOf = async ({ db, binding }: Prepared): Promise<Owners> => {
  const [client] = await sampleKits(db, binding, 'kit', 1);
  const [practitioner] = await sampleKits(db, binding, 'practitioner_kits', 1);
  return { kit: client, practitioner_kits: practitioner };
};

/**
 * Keeps the whole system up until the process is told to end: the API, the queues, the local AWS. Says how to
 * use and how to operate it. What it opens is given to `cleanup`.
 *
 * @returns never
 * @throws {PortInUseError} {DataDirectoryInUseError} {MappingMismatch}
 */
export const serve = async (
  options: ServeOptions,
  screen: Screen,
  cleanup: Cleanup,
): Promise<never> => {
  const target = await openTarget(options, 'serve');
  cleanup.add(target.close);
  await requirePort('--port', options.port);
  await requirePort('--aws-port', options.awsPort);
  screen.line(`Unified Kits on ${target.description}`);
  await seedIfNew(target, options, screen);
  const prepared = await prepare(target, options.mappingPath);
  cleanup.add(() => prepared.db.close());
  const { db, binding } = prepared;
  const directory = target.stateDirectory;
  const logFile = functionsLog(directory);
  const system = await startSystem({
    databaseUrl: target.databaseUrl,
    stateFile: parametersFile(directory),
    environment: ENVIRONMENT,
    mappingPath: options.mappingPath,
    awsPort: options.awsPort,
    service: {
      databaseUrl: await writerLogin(db, binding, target.databaseUrl),
      port: options.port,
      issuerKeyFile: issuerKeyFile(directory),
    },
    log: (line) => appendFileSync(logFile, `${line}\n`, { mode: 0o600 }),
  });
  cleanup.add(() => system.stop({ graceMs: GRACE_MS }));
  cleanup.add(await announce(directory, system, ENVIRONMENT));
  const { stage } = await db.transaction({ readOnly: true }, readStage);
  const owners = await ownersOf(prepared);
  for (const line of await servedLines({
    system,
    binding,
    owners,
    stage,
    logFile,
    dataDirectory: options.dataDirectory,
  }))
    screen.line(line);
  return new Promise(() => {});
};
