import { JobRejected } from '../errors.ts';
import type { Kit, KitValues } from '../kits/kit.ts';
import { isKitStatus, type KitStatus, liesAhead, TIME_OF_STATUS } from '../kits/lifecycle.ts';
import { legacyStatus, statusWords } from '../kits/requests.ts';
import type { Mapping } from '../mapping/schema.ts';
import type { Job } from './envelope.ts';

/** What a job does to a kit; `stale` when the kit has gone past it already. */
export type JobEffect =
  | { readonly kind: 'applied'; readonly values: KitValues }
  | { readonly kind: 'stale' };

const statusOf = (job: Job, kit: Kit, mapping: Mapping): KitStatus => {
  if (job.type === 'kit.results-ready') return 'completed';
  const { status } = job.data;
  if (isKitStatus(status)) return status;
  const meant = statusWords(mapping, kit.source, 'legacy').get(status);
  if (meant === undefined)
    throw new JobRejected('unknown-status', 'data.status is no status of this kit');
  return meant;
};

/**
 * What a job does to a kit as it stands. Jobs are delivered in any order and more than once, so one applies
 * only when it leads forward and nothing newer has set the status.
 *
 * @param newerKnown whether the status was set by something that happened later
 * @throws {JobRejected} for a status that the kit cannot have.
 */
export const effectOf = (job: Job, kit: Kit, mapping: Mapping, newerKnown: boolean): JobEffect => {
  const status = statusOf(job, kit, mapping);
  if (newerKnown || !liesAhead(kit.fields.status, status)) return { kind: 'stale' };
  const { columns } = mapping.sources[kit.source];
  const { values } = columns.status;
  if (values !== undefined && !Object.values(values).includes(status))
    throw new JobRejected('unknown-status', 'kits of this owner type have no such status');
  const field = TIME_OF_STATUS[status];
  const at =
    job.type === 'kit.results-ready' ? (job.data.resultedAt ?? job.occurredAt) : job.occurredAt;
  const timed = field !== undefined && columns[field] !== undefined && kit.fields[field] === null;
  return {
    kind: 'applied',
    values: {
      fields: {
        status: legacyStatus(mapping, kit.source, status),
        ...(timed ? { [field]: { at } } : {}),
      },
      attributes: {},
    },
  };
};
