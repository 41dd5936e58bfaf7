import type { JobsService } from '@unified-kits/data';
import { type Job, JobRejected, type Resolution, type ResolutionPath } from '@unified-kits/domain';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';
import { PHASE } from './phase.ts';
import type { Read } from './read-batch.ts';

const PATHS: Readonly<Record<ResolutionPath, keyof typeof METRICS>> = {
  kitsId: 'JobsByKitsId',
  legacyId: 'JobsByLegacyId',
  kitNumber: 'JobsByKitNumber',
};

const OUTCOMES = {
  applied: METRICS.JobsApplied,
  stale: METRICS.JobsStale,
  duplicate: METRICS.JobsDuplicate,
} as const;

const count = (
  { jobId }: Job,
  { path, conflicting, key }: Resolution,
  outcome: keyof typeof OUTCOMES,
): void => {
  const metrics = serviceMetrics(PHASE);
  metrics.count(METRICS[PATHS[path]]);
  metrics.count(OUTCOMES[outcome]);
  if (!conflicting) return;
  metrics.count(METRICS.JobsConflicting);
  const { source, legacyId } = key;
  serviceLog(PHASE).warn('a job names more than one kit', { jobId, source, legacyId, path });
};

const resolveAlone = async (service: JobsService, job: Job): Promise<Resolution> => {
  const [answer] = await service.resolve([job]);
  if (answer === undefined) throw new TypeError('a job has an answer');
  if (answer instanceof JobRejected) throw answer;
  return answer;
};

/**
 * Applies what a message says, and counts how it found its kit and what became of it.
 *
 * @throws {JobRejected} when it can never be applied.
 */
export const applyMessage = async (service: JobsService, read: Read): Promise<void> => {
  if ('rejected' in read) throw read.rejected;
  const { job } = read;
  const resolution = read.resolution ?? (await resolveAlone(service, job));
  count(job, resolution, await service.apply(job, resolution));
};
