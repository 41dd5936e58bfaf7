/** Of a consumer's timeout: as long as AWS advises a message to stay hidden, for a batch may wait before it is worked on. */
const TIMEOUTS_OF_VISIBILITY = 6;

/** The consumer of `kit-jobs`, on AWS and here. */
export const JOBS_CONSUMER = {
  timeoutSeconds: 30,
  batchSize: 10,
  maximumConcurrency: 5,
  /** Tries of a job that fails for the time being; after the last the consumer gives it up, with the reason. */
  mostReceives: 5,
} as const;

/** Every queue; `mostReceives` is after how many the queue itself gives a message up. */
export const QUEUES = {
  jobs: {
    name: 'kit-jobs',
    deadLetters: 'kit-jobs-dlq',
    visibilityTimeoutSeconds: TIMEOUTS_OF_VISIBILITY * JOBS_CONSUMER.timeoutSeconds,
    // One more than the consumer counts: the queue knows no reason, so it is to give up only what the consumer could not.
    mostReceives: JOBS_CONSUMER.mostReceives + 1,
  },
  events: {
    name: 'kit-events',
    deadLetters: 'kit-events-dlq',
    // Their consumers are other applications': enough for one that takes half a minute.
    visibilityTimeoutSeconds: TIMEOUTS_OF_VISIBILITY * 30,
    mostReceives: 5,
  },
} as const;
