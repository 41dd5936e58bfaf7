import { type Database, type JobsService, jobsService, loadMapping } from '@unified-kits/data';
import { databaseOf } from './database.ts';
import type { Environment } from './environment.ts';
import { flagStoreOf } from './flag-store.ts';
import { METRICS } from './metric-names.ts';
import { serviceMetrics } from './service-metrics.ts';

/** Made when first used, once for each pool and environment: it keeps the binding. */
const services = new WeakMap<Database, Map<string, Promise<JobsService>>>();

/** The jobs' side of an environment's kits service. @param phase the function's folder, for its metrics */
export const jobsServiceOf = (environment: Environment, phase: string): Promise<JobsService> => {
  const db = databaseOf(environment);
  const ofPool = services.get(db) ?? new Map<string, Promise<JobsService>>();
  services.set(db, ofPool);
  const key = JSON.stringify([environment, phase]);
  const known = ofPool.get(key);
  if (known !== undefined) return known;
  const made = loadMapping(environment.mappingPath).then((mapping) =>
    jobsService({
      db,
      mapping,
      flags: flagStoreOf(environment),
      observer: {
        redirected: () => serviceMetrics(phase).count(METRICS.FenceRedirects),
        staleReadAvoided: () => serviceMetrics(phase).count(METRICS.StaleReadsAvoided),
      },
    }),
  );
  ofPool.set(key, made);
  made.catch(() => ofPool.delete(key));
  return made;
};
