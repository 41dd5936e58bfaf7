import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Figures } from './figures.ts';

const FILE = 'run.json';

/** The steps of a run, in order; a resumed run goes on with the one it was in. */
const STEPS = ['seed', 'prepare', 'cutover', 'rollback', 'finished'] as const;

const schema = z.strictObject({
  id: z.string(),
  startedAt: z.iso.datetime(),
  step: z.enum(STEPS),
  rows: z.int(),
  seedNumber: z.int(),
  writers: z.int(),
  rollback: z.boolean(),
  blockers: z.boolean(),
  /** Seconds of boot and seeding, which are not the migration. */
  ownSeconds: z.record(z.string(), z.number()),
  /** What the cutover showed, for the end of a rollback. */
  figures: z.custom<Figures>().optional(),
});

/** What a run must remember beyond its process. */
export type RunState = z.output<typeof schema>;

/** A new run's state. */
export const newRun = (
  asked: Pick<RunState, 'rows' | 'seedNumber' | 'writers' | 'rollback' | 'blockers' | 'step'>,
): RunState => ({
  id: randomUUID(),
  startedAt: new Date().toISOString(),
  ownSeconds: {},
  ...asked,
});

/** The run that this directory keeps, or undefined. A file that cannot be understood counts as none. */
export const loadRun = async (directory: string): Promise<RunState | undefined> => {
  try {
    return schema.safeParse(JSON.parse(await readFile(join(directory, FILE), 'utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
};

/** Written beside and renamed: a kill leaves the old state or the new one. */
export const saveRun = async (directory: string, state: RunState): Promise<void> => {
  const path = join(directory, FILE);
  await writeFile(`${path}.new`, JSON.stringify(state, null, 2), { mode: 0o600, flush: true });
  await rename(`${path}.new`, path);
};

/** Removes what an earlier run left: its ledger, its plans, its flags. */
export const forgetRun = async (directory: string): Promise<void> => {
  for (const name of await readdir(directory))
    if (
      /^(run|writers|jobs|parameters)\.json(\..*)?$|^ledger-\d+\.jsonl$|^functions\.log$/.test(name)
    )
      await rm(join(directory, name), { force: true });
};

/** The parameters of the local Parameter Store. */
export const parametersFile = (directory: string): string => join(directory, 'parameters.json');
/** Where the functions' log lines go, out of the operator's way. */
export const functionsLog = (directory: string): string => join(directory, 'functions.log');
/** The key of the local issuer of tokens. */
export const issuerKeyFile = (directory: string): string => join(directory, 'issuer-key.json');
