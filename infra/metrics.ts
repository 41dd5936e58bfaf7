import { METRICS } from '../functions/runtime/metric-names.ts';

/** As the functions write them, in CloudWatch's embedded format. */
export const NAMESPACE = 'UnifiedKits';

/** A metric of a function, with the dimensions `Environment` and `service`, which is the function's folder. */
export interface FunctionMetric {
  readonly name: string;
  readonly service: string;
}

const of = (service: string, name: string): FunctionMetric => ({ name, service });

/** What alarms and the dashboard know of the migration. */
export const MIGRATION_METRICS = {
  /** The stage's place in DESIGN's table, 0 `legacy` to 5 `closed`, each minute. */
  stage: of('flag-changed', 'Stage'),
  /** Keys that wait, each minute. */
  backlog: of('flag-changed', METRICS.BacklogSize),
  /** Keys that a drain could not take, each minute. */
  backlogStuck: of('flag-changed', 'BacklogStuck'),
  /** Keys that a mirror has failed on and that wait for the drain, each minute. */
  mirrorFailures: of('flag-changed', METRICS.MirrorFailuresSeen),
  flagPutBack: of('flag-changed', 'FlagPutBack'),
  /** Rows copied. */
  copiedRows: of('phase2-migration', 'CopiedRows'),
  /** Seconds until the copy will be done at the pace it has. */
  copySecondsLeft: of('phase2-migration', 'CopySecondsLeft'),
  parityCompared: of('phase6-validation', 'ParityCompared'),
  parityMismatches: of('phase6-validation', 'ParityMismatches'),
  /** Writes that the fence refused since the last check. */
  fenceRefusals: of('phase7-cleanup', 'FenceRefusals'),
  monitorBreaches: of('phase7-cleanup', 'MonitorBreaches'),
} as const satisfies Readonly<Record<string, FunctionMetric>>;

/** How long a flip held writers, in milliseconds, by whoever flipped. */
export const FLIP_HELD = ['phase2-migration', 'phase3-services', 'rollback', 'flag-changed'].map(
  (service) => of(service, 'FlipHeld'),
);

/** What alarms and the dashboard know of the service. */
export const SERVICE_METRICS = {
  requests: of('phase4-api', METRICS.ApiRequests),
  errors: of('phase4-api', METRICS.ApiErrors),
  latency: of('phase4-api', METRICS.ApiLatency),
  fenceRedirects: of('phase4-api', METRICS.FenceRedirects),
  shadowDifferences: of('phase4-api', METRICS.ShadowDifferences),
  jobsApplied: of('phase5-jobs', METRICS.JobsApplied),
  jobsDuplicate: of('phase5-jobs', METRICS.JobsDuplicate),
  jobsRejected: of('phase5-jobs', METRICS.JobsRejected),
  jobsStale: of('phase5-jobs', METRICS.JobsStale),
  jobsByKitsId: of('phase5-jobs', METRICS.JobsByKitsId),
  jobsByLegacyId: of('phase5-jobs', METRICS.JobsByLegacyId),
  jobsByKitNumber: of('phase5-jobs', METRICS.JobsByKitNumber),
  eventsRelayed: of('phase5-relay', METRICS.EventsRelayed),
} as const satisfies Readonly<Record<string, FunctionMetric>>;
