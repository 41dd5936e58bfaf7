import type { JobsService } from '@unified-kits/data';
import { type Job, JobRejected, parseJob, type Resolution } from '@unified-kits/domain';
import type { SQSRecord } from 'aws-lambda';

/** What a message turned out to be: a job with its kit, a job to be looked up by itself, or no job. */
export type Read =
  | { readonly job: Job; readonly resolution: Resolution | undefined }
  | { readonly rejected: JobRejected };

const parsed = ({ body }: SQSRecord): Job | JobRejected => {
  try {
    return parseJob(body, Date.now());
  } catch (error) {
    if (error instanceof JobRejected) return error;
    throw error;
  }
};

/** One job that makes the query fail must not take the others along: then each is looked up in its turn. */
const resolveTogether = async (
  service: JobsService,
  jobs: readonly Job[],
): Promise<readonly (Resolution | JobRejected)[]> => {
  try {
    return await service.resolve(jobs);
  } catch {
    return [];
  }
};

/** Reads messages, and looks up the kits of all their jobs by one query. The answers are in their order. */
export const readBatch = async (
  service: JobsService,
  records: readonly SQSRecord[],
): Promise<readonly Read[]> => {
  const bodies = records.map(parsed);
  const jobs = bodies.flatMap((body) => (body instanceof JobRejected ? [] : [body]));
  const found = await resolveTogether(service, jobs);
  const answers = new Map(jobs.map((job, index) => [job, found[index]]));
  return bodies.map((body): Read => {
    if (body instanceof JobRejected) return { rejected: body };
    const resolution = answers.get(body);
    return resolution instanceof JobRejected ? { rejected: resolution } : { job: body, resolution };
  });
};
