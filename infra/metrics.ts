import { METRICS, type MetricName } from '../functions/runtime/metric-names.ts';

/** As the functions write them, in CloudWatch's embedded format. */
export const NAMESPACE = 'UnifiedKits';

/** A metric of a function, with the dimensions `Environment` and `service`, which is the function's folder. */
export interface FunctionMetric {
  readonly name: string;
  readonly service: string;
}

const of = (service: string, name: MetricName): FunctionMetric => ({ name, service });
const ofEach = (services: readonly string[], name: MetricName) =>
  services.map((service) => of(service, name));

/** What alarms and the dashboard know of the migration. */
export const MIGRATION_METRICS = {
  stage: of('flag-changed', METRICS.Stage),
  backlog: of('flag-changed', METRICS.BacklogSize),
  backlogStuck: of('flag-changed', METRICS.BacklogStuck),
  mirrorFailures: of('flag-changed', METRICS.MirrorFailuresSeen),
  copiedRows: of('phase2-migration', METRICS.CopiedRows),
  copySecondsLeft: of('phase2-migration', METRICS.CopySecondsLeft),
  parityCompared: of('phase6-validation', METRICS.ParityCompared),
  parityMismatches: of('phase6-validation', METRICS.ParityMismatches),
  fenceRefusals: of('phase7-cleanup', METRICS.FenceRefusals),
  monitorBreaches: of('phase7-cleanup', METRICS.MonitorBreaches),
} as const satisfies Readonly<Record<string, FunctionMetric>>;

/** How long a flip held writers, by every function that may flip. */
export const FLIP_HELD = ofEach(
  ['phase2-migration', 'phase3-services', 'phase7-cleanup', 'rollback', 'flag-changed'],
  METRICS.FlipHeld,
);

/** Flags that were put back, by every function that may do so. */
export const FLAG_PUT_BACK = ofEach(
  ['phase3-services', 'rollback', 'flag-changed'],
  METRICS.FlagPutBack,
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
  jobsConflicting: of('phase5-jobs', METRICS.JobsConflicting),
  eventsRelayed: of('phase5-relay', METRICS.EventsRelayed),
} as const satisfies Readonly<Record<string, FunctionMetric>>;
