import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file that keeps local state cannot be read; the message names it. */
export class LocalStateError extends Error {
  override readonly name = 'LocalStateError';
}

/** A JSON document on disk that is always whole: the old one or the new one. */
export type StateFile = {
  load(): Promise<unknown>;
  save(document: unknown): Promise<void>;
};

/** Keeps nothing. */
export const NO_STATE_FILE: StateFile = {
  load: async () => undefined,
  save: async () => undefined,
};

/**
 * A state file at `path`, for its owner's eyes alone. Written beside and renamed, so a kill -9 in the
 * middle leaves the old one.
 *
 * @param holds what is in it, for errors
 *
 * @throws LocalStateError from `load` when the file is not JSON.
 */
export function stateFile(path: string, holds = 'the local flags'): StateFile {
  return {
    async load() {
      try {
        return JSON.parse(await readFile(path, 'utf8'));
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        if (!(error instanceof SyntaxError)) throw error;
        throw new LocalStateError(
          `${path} is not valid JSON. It holds ${holds}: mend it, or remove it to start afresh.`,
        );
      }
    },
    async save(document) {
      await mkdir(dirname(path), { recursive: true });
      const draft = `${path}.${randomUUID()}`;
      try {
        await writeFile(draft, `${JSON.stringify(document, null, 2)}\n`, {
          mode: 0o600,
          flush: true,
        });
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
  };
}
