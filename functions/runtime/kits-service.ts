import { type Database, type KitsService, kitsService, loadMapping } from '@unified-kits/data';
import type { Mapping, Store } from '@unified-kits/domain';
import { databaseOf } from './database.ts';
import type { Environment } from './environment.ts';
import { type FlagStore, flagStoreOf } from './flag-store.ts';
import { METRICS } from './metric-names.ts';
import { serviceMetrics } from './service-metrics.ts';

/** The kits service of an environment, with what its callers need beside it. */
export interface BoundService {
  readonly service: KitsService;
  readonly mapping: Mapping;
  readonly flags: FlagStore;
}

/** Made when first used, once for each pool: a pool that was closed takes its service with it. */
const services = new WeakMap<Database, Map<string, Promise<BoundService>>>();

const bind = async (
  db: Database,
  environment: Environment,
  phase: string,
  only: Store | undefined,
): Promise<BoundService> => {
  const mapping = await loadMapping(environment.mappingPath);
  const flags = flagStoreOf(environment);
  // Asked for anew at each event: metrics belong to the invocation that is under way.
  const metrics = () => serviceMetrics(phase);
  const service = kitsService({
    db,
    mapping,
    flags,
    observer: {
      redirected: () => metrics().count(METRICS.FenceRedirects),
      staleReadAvoided: () => metrics().count(METRICS.StaleReadsAvoided),
    },
    ...(only === undefined ? {} : { only }),
  });
  return { service, mapping, flags };
};

/**
 * The kits service of an environment.
 *
 * @param phase the function's folder, for its metrics
 * @param only answers reads from this store alone, and refuses writes: for the contract check
 */
export const kitsServiceOf = (
  environment: Environment,
  phase: string,
  only?: Store,
): Promise<BoundService> => {
  const db = databaseOf(environment);
  const ofPool = services.get(db) ?? new Map<string, Promise<BoundService>>();
  services.set(db, ofPool);
  const key = JSON.stringify([environment, phase, only]);
  const known = ofPool.get(key);
  if (known !== undefined) return known;
  const made = bind(db, environment, phase, only);
  ofPool.set(key, made);
  made.catch(() => ofPool.delete(key));
  return made;
};
