import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Announced, findAnnounced } from '../../local/cli/announce.ts';
import { lastingHome } from '../../local/postgres/throw-away.ts';
import { NoSystem } from '../errors.ts';
import type { Place } from './place.ts';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url)).replace(/[/\\]$/, '');

/** Where `npm start` keeps its state, wherever the command line is called from. */
export const homeOf = (dataDirectory: string | undefined): string =>
  dataDirectory === undefined ? lastingHome(CHECKOUT) : resolve(dataDirectory);

const toPlace = (announced: Announced): Place => {
  const { environment, endpoint, region, credentials, stateMachineArns, pid } = announced;
  return {
    kind: 'local',
    environment,
    description: `the local system "${environment}" at ${endpoint} (process ${pid})`,
    client: { endpoint, region, credentials },
    stateMachineArns,
  };
};

/**
 * The local system that is up, or undefined.
 *
 * @throws {NoSystem} when several are, naming their directories.
 */
export const findLocal = async (home: string): Promise<Place | undefined> => {
  const found = await findAnnounced(home);
  if (found.length > 1)
    throw new NoSystem(
      `${found.length} local systems are up: name one with --data-dir\n${found.map(({ directory, pid }) => `  ${directory}  (process ${pid})`).join('\n')}`,
    );
  return found.map(toPlace)[0];
};
