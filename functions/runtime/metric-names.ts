/** Every metric of the service functions, in the namespace `UnifiedKits`; times are in milliseconds. */
export const METRICS = {
  ApiRequests: 'ApiRequests',
  /** Answers with a status of 500 or more. */
  ApiErrors: 'ApiErrors',
  ApiLatency: 'ApiLatency',
  /** Writes that the fence refused and that went to the other store. */
  FenceRedirects: 'FenceRedirects',
  /** Reads of `kits` that were answered from legacy because a mirror had failed. */
  StaleReadsAvoided: 'StaleReadsAvoided',
  MirrorFailuresSeen: 'MirrorFailuresSeen',
  ShadowReads: 'ShadowReads',
  ShadowDifferences: 'ShadowDifferences',
  /** Work that was to follow a response and was given up because there was too much of it. */
  AfterResponseDropped: 'AfterResponseDropped',
  JobsApplied: 'JobsApplied',
  JobsDuplicate: 'JobsDuplicate',
  JobsRejected: 'JobsRejected',
  /** Jobs older than what the kit already says. */
  JobsStale: 'JobsStale',
  JobsByKitsId: 'JobsByKitsId',
  JobsByLegacyId: 'JobsByLegacyId',
  JobsByKitNumber: 'JobsByKitNumber',
  /** Jobs whose references name different kits. */
  JobsConflicting: 'JobsConflicting',
  EventsRelayed: 'EventsRelayed',
  /** Keys in `migration.pending_sync`. */
  BacklogSize: 'BacklogSize',
} as const;

export type MetricName = (typeof METRICS)[keyof typeof METRICS];
