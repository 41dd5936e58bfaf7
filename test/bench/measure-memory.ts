import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const WHOLE_RUN = fileURLToPath(new URL('./whole-run.ts', import.meta.url));

/** The most memory, in bytes, that a process has which does nothing but migrate this database and go back. */
export const measureMemory = async (url: string): Promise<number> =>
  Number((await promisify(execFile)(process.execPath, [WHOLE_RUN, url])).stdout);
