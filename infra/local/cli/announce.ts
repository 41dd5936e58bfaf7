import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { systemCode } from '../postgres/errors.ts';
import { identify, isStillAlive } from '../postgres/processes.ts';
import type { System } from '../system.ts';

const FILE = 'system.json';

const schema = z.object({
  environment: z.string().min(1),
  endpoint: z.url(),
  region: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
  stateMachineArns: z.object({ cutover: z.string(), rollback: z.string() }),
  pid: z.int(),
  /** Tells the process from a later one with the same number. */
  startedAt: z.string(),
});

/** A local system that is up, as its process has written it down. */
export type Announced = z.output<typeof schema> & { readonly directory: string };

/**
 * Writes down where a system can be called, for the command line to find it, in its state directory: readable
 * by its user alone. It counts for as long as this process lives.
 *
 * @returns what removes it again.
 */
export const announce = async (
  directory: string,
  { aws, stateMachineArns }: Pick<System, 'aws' | 'stateMachineArns'>,
  environment: string,
): Promise<() => Promise<void>> => {
  const self = await identify(process.pid);
  if (self === undefined) throw new TypeError(`process ${process.pid} cannot find itself`);
  const { endpoint, region, credentials } = aws;
  const { accessKeyId, secretAccessKey } = credentials;
  const told: z.output<typeof schema> = {
    environment,
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    stateMachineArns: { ...stateMachineArns },
    ...self,
  };
  const path = join(directory, FILE);
  // Written beside and renamed: nobody reads half of it.
  await writeFile(`${path}.new`, JSON.stringify(told, null, 2), { mode: 0o600 });
  await rename(`${path}.new`, path);
  return () => rm(path, { force: true });
};

const readAnnounced = async (directory: string): Promise<Announced | undefined> => {
  try {
    const told = schema.safeParse(JSON.parse(await readFile(join(directory, FILE), 'utf8'))).data;
    return told !== undefined && (await isStillAlive(told)) ? { ...told, directory } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
};

const directoriesIn = async (home: string): Promise<string[]> => {
  try {
    return (await readdir(home, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => join(home, name));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCode(error) ?? '')) return [];
    throw error;
  }
};

/** The systems that are up and keep their state in a directory, or directly below it. */
export const findAnnounced = async (home: string): Promise<Announced[]> => {
  const found = await Promise.all([home, ...(await directoriesIn(home))].map(readAnnounced));
  return found.filter((one) => one !== undefined);
};
