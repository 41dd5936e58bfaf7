import { NoSystem, UsageError } from '../errors.ts';
import { findLocal, homeOf } from './local-place.ts';
import type { Place, PlaceOptions } from './place.ts';

/**
 * The system to operate: the local one that is up, unless another environment is named, or else the one that
 * is deployed under that name.
 *
 * @throws {NoSystem} when there is neither.
 * @throws {UsageError} when AWS is asked for without an environment.
 */
export const findPlace = async (options: PlaceOptions): Promise<Place> => {
  const { environment, kind, dataDirectory } = options;
  const home = homeOf(dataDirectory);
  const local = kind === 'aws' ? undefined : await findLocal(home);
  if (local !== undefined && (environment === undefined || local.environment === environment))
    return local;
  if (kind === 'local')
    throw new NoSystem(
      local === undefined
        ? `no local system is up (looked in ${home}): start one with "npm start -- serve", or name its --data-dir`
        : `the local system that is up is "${local.environment}", not "${environment ?? ''}"`,
    );
  if (environment !== undefined) {
    const { findAws } = await import('./aws-place.ts');
    return findAws(environment);
  }
  if (kind === 'aws')
    throw new UsageError('--aws needs the name of the environment: --environment <name>');
  throw new NoSystem(
    `no local system is up (looked in ${home}), and no environment is named: start one with "npm start -- serve", or name a deployed one with --environment <name>`,
  );
};
