/** The consumer of `kit-jobs`, on AWS and here. */
export const JOBS_CONSUMER = {
  timeoutSeconds: 30,
  batchSize: 10,
  maximumConcurrency: 5,
  /** Tries of a job that fails for the time being. */
  mostReceives: 5,
} as const;

/** Every queue. A message stays hidden for six times what its consumer may take, as AWS advises. */
export const QUEUES = {
  jobs: {
    name: 'kit-jobs',
    deadLetters: 'kit-jobs-dlq',
    visibilityTimeoutSeconds: 6 * JOBS_CONSUMER.timeoutSeconds,
  },
  events: {
    name: 'kit-events',
    deadLetters: 'kit-events-dlq',
    visibilityTimeoutSeconds: 60,
  },
} as const;
