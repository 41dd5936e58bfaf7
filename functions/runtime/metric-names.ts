/** Every metric of the functions, in the namespace `UnifiedKits`; times are in milliseconds where the name says nothing else. */
export const METRICS = {
  ApiRequests: 'ApiRequests',
  /** Answers with a status of 500 or more. */
  ApiErrors: 'ApiErrors',
  ApiLatency: 'ApiLatency',
  /** Writes that the fence refused and that went to the other store. */
  FenceRedirects: 'FenceRedirects',
  /** Reads whose store was not in step, by its stage or for a key that a mirror failed on, and that went to the other. */
  StaleReadsAvoided: 'StaleReadsAvoided',
  /** Keys that a mirror has failed on and that no drain has looked at since, each minute. */
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
  /** Keys in `migration.pending_sync`, each minute; also by `cause`. */
  BacklogSize: 'BacklogSize',
  /** Of these, keys that a drain could not take. */
  BacklogStuck: 'BacklogStuck',
  /** The stage's place in its order, 0 `legacy` to 5 `closed`, each minute. */
  Stage: 'Stage',
  /** Flags that asked for what cannot be, by whoever put them back. */
  FlagPutBack: 'FlagPutBack',
  /** How long a flip held writers, by whoever flipped. */
  FlipHeld: 'FlipHeld',
  CopiedRows: 'CopiedRows',
  /** Until the copy is done, at the pace of all its lanes. */
  CopySecondsLeft: 'CopySecondsLeft',
  /** Rows that a whole comparison has compared, and those of them that differ. */
  ParityCompared: 'ParityCompared',
  ParityMismatches: 'ParityMismatches',
  /** Writes that the fence refused since the last check of the monitoring window. */
  FenceRefusals: 'FenceRefusals',
  /** Checks of the monitoring window that have seen what must be looked at. */
  MonitorBreaches: 'MonitorBreaches',
} as const;

export type MetricName = (typeof METRICS)[keyof typeof METRICS];
