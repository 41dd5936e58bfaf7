import {
  effectOf,
  type Job,
  JobRejected,
  type Kit,
  KitRefused,
  kitEvent,
  type Mapping,
  type Resolution,
  resolve,
} from '@unified-kits/domain';
import { recordKitEvent } from '../kits/record-kit-event.ts';
import { assertAuthoritative, type StoreAccessOptions, storeAccess } from '../kits/store-access.ts';
import { claimJob, markStale } from './claim-job.ts';
import { newerStatusKnown, noteStatusTime } from './status-time.ts';

/** What became of a delivery. */
export type Handled = 'applied' | 'stale' | 'duplicate';

/** Applies jobs to kits, whichever store is authoritative. */
export interface JobsService {
  /**
   * Finds the kits of a batch of jobs, with one query.
   *
   * @returns for each job its kit, or the rejection that says why it has none.
   */
  resolve(jobs: readonly Job[]): Promise<readonly (Resolution | JobRejected)[]>;
  /**
   * Applies a job once, however often it is delivered.
   *
   * @throws {JobRejected} when it can never be applied.
   */
  apply(job: Job, resolution: Resolution): Promise<Handled>;
}

const given = ({ kitsId, kitId, practitionerKitId, kitNumber }: Job) => ({
  byKitsId: kitsId !== undefined,
  byKitId: kitId !== undefined,
  byPractitionerKitId: practitionerKitId !== undefined,
  byKitNumber: kitNumber !== undefined,
});

/** A rejection in the place of what was asked for, so that one job of a batch does not take the others along. */
const orRejected = <Result>(work: () => Result): Result | JobRejected => {
  try {
    return work();
  } catch (error) {
    if (error instanceof JobRejected) return error;
    throw error;
  }
};

const updatedNow = (mapping: Mapping, { source }: Kit) =>
  mapping.sources[source].columns.updatedAt === undefined
    ? {}
    : { updatedAt: { now: true as const } };

/** The jobs' side of the service over one database. */
export const jobsService = (options: Omit<StoreAccessOptions, 'only'>): JobsService => {
  const { mapping } = options;
  const { writing } = storeAccess(options);
  return {
    async resolve(jobs) {
      if (jobs.length === 0) return [];
      // From the authoritative store, in the stage that the query itself has seen.
      const { found } = await writing(async ({ stores }, store, session) => {
        const batch = await stores[store].resolve(session, jobs);
        assertAuthoritative(store, batch.stage);
        return batch;
      });
      return jobs.map((job, index) => {
        const keys = found[index];
        if (keys === undefined) throw new TypeError('an answer for each job');
        return orRejected(() => resolve(given(job), keys));
      });
    },

    apply: (job, { key }) =>
      writing(async ({ stores }, store, session) => {
        if (!(await claimJob(session, job.jobId))) return 'duplicate';
        const { value: before, stage } = await stores[store].hold(session, key);
        assertAuthoritative(store, stage);
        if (before === undefined)
          throw new JobRejected('unknown-kit', 'the kit was deleted since the job found it');
        const newer = await newerStatusKnown(session, key, job.occurredAt);
        const effect = effectOf(job, before, mapping, newer);
        if (effect.kind === 'stale') {
          await markStale(session, job.jobId);
          return 'stale';
        }
        const { fields, attributes } = effect.values;
        const after = await stores[store].update(session, before, {
          fields: { ...fields, ...updatedNow(mapping, before) },
          attributes,
        });
        if (after === undefined) throw new TypeError('a row that is held cannot be gone');
        await noteStatusTime(session, key, job.occurredAt);
        await recordKitEvent(session, kitEvent(before, after));
        return 'applied';
      }).catch((error: unknown) => {
        if (error instanceof KitRefused)
          throw new JobRejected('malformed', 'the database refuses a value of the job');
        throw error;
      }),
  };
};
