import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Set to `1` it records anew what is compared otherwise. */
export const RENEW = 'RENEW_RECORDED';

export const renewing = (): boolean => process.env[RENEW] === '1';

/** What to do when a comparison with a record fails; the reader of the failure knows nothing of records. */
export const renewalHint = (file: URL, test: string): string =>
  `${relative(process.cwd(), fileURLToPath(file))} is not what the code gives now. Clients rely on it: if the change is meant, run "${RENEW}=1 npx vitest run ${test}", look at the difference and commit it.`;

/** A recorded JSON document. */
export const readRecorded = (file: URL): unknown => {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    return undefined;
  }
};

/** Records a JSON document, formatted as the project's files are. */
export const writeRecorded = (file: URL, content: unknown): void => {
  const path = fileURLToPath(file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(content, null, 2)}\n`);
  execFileSync('node_modules/.bin/biome', ['format', '--write', path], { stdio: 'pipe' });
};
