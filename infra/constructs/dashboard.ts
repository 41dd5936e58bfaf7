import { Duration } from 'aws-cdk-lib';
import {
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IAlarm,
  type IMetric,
  type IWidget,
  MathExpression,
  SingleValueWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { FLIP_HELD, type FunctionMetric, MIGRATION_METRICS, SERVICE_METRICS } from '../metrics.ts';
import type { ServiceParts } from '../stacks/service-stack.ts';
import type { Foundation } from './foundation.ts';
import { functionMetric } from './function-metrics.ts';

export interface KitsDashboardProps {
  readonly foundation: Foundation;
  readonly service: ServiceParts;
  /** The functions of the phases, in their order. */
  readonly phases: readonly IFunction[];
  readonly alarms: readonly IAlarm[];
}

const WHOLE = 24;
const HALF = 12;
const THIRD = 8;

/** All that an operator looks at during a cutover, from the top down in the order of the questions. */
export class KitsDashboard extends Dashboard {
  constructor(scope: Construct, id: string, props: KitsDashboardProps) {
    const { foundation, service, phases, alarms } = props;
    const { environment } = foundation.settings;
    const minute = Duration.minutes(1);
    const metric = (of: FunctionMetric, statistic = 'Sum', label = of.name) =>
      functionMetric(of, environment, { statistic, minutes: 1, label });
    const graph = (title: string, width: number, left: IMetric[], right: IMetric[] = []) =>
      new GraphWidget({ title, width, left, right, leftYAxis: { min: 0 }, rightYAxis: { min: 0 } });
    const now = (title: string, metrics: IMetric[]) =>
      new SingleValueWidget({ title, width: THIRD, metrics, setPeriodToTimeRange: false });

    const migration = MIGRATION_METRICS;
    const rowsPerSecond = new MathExpression({
      expression: 'rows / PERIOD(rows)',
      usingMetrics: { rows: metric(migration.copiedRows) },
      label: 'Rows per second',
      period: minute,
    });
    const flips = FLIP_HELD.map((of) => metric(of, 'Maximum', of.service));
    const { jobs, events } = service;
    const visible = { period: minute, statistic: 'Maximum' };
    const widgets: IWidget[][] = [
      [new AlarmStatusWidget({ title: 'Alarms', width: WHOLE, alarms: [...alarms] })],
      [
        now('Stage: 0 legacy, 1 copying, 2 mirrored, 3 dual-write, 4 unified, 5 closed', [
          metric(migration.stage, 'Maximum', 'Stage'),
        ]),
        now('Copy: seconds left', [metric(migration.copySecondsLeft, 'Maximum', 'Seconds')]),
        now('Backlog', [
          metric(migration.backlog, 'Maximum', 'Keys that wait'),
          metric(migration.backlogStuck, 'Maximum', 'Keys that are stuck'),
        ]),
      ],
      [
        graph(
          'Phase at work',
          HALF,
          phases.map((phase) => phase.metricInvocations({ period: minute, label: phase.node.id })),
        ),
        graph('Copy', HALF, [rowsPerSecond]),
      ],
      [
        graph('Backlog', THIRD, [
          metric(migration.backlog, 'Maximum'),
          metric(migration.backlogStuck, 'Maximum'),
          metric(migration.mirrorFailures, 'Maximum'),
        ]),
        graph(
          'Parity',
          THIRD,
          [metric(migration.parityMismatches)],
          [metric(migration.parityCompared)],
        ),
        graph('Flips: writers held, ms', THIRD, flips),
      ],
      [
        graph(
          'API: requests and errors',
          THIRD,
          [metric(SERVICE_METRICS.requests)],
          [metric(SERVICE_METRICS.errors), metric(SERVICE_METRICS.shadowDifferences)],
        ),
        graph('API: latency, ms', THIRD, [
          metric(SERVICE_METRICS.latency, 'p50', 'p50'),
          metric(SERVICE_METRICS.latency, 'p99', 'p99'),
        ]),
        graph('Writes sent to the other store', THIRD, [
          metric(SERVICE_METRICS.fenceRedirects, 'Sum', 'By the API, after a refusal'),
          metric(migration.fenceRefusals, 'Sum', 'Refused, whoever wrote'),
        ]),
      ],
      [
        graph('Jobs and events', THIRD, [
          metric(SERVICE_METRICS.eventsRelayed),
          metric(SERVICE_METRICS.jobsApplied),
          metric(SERVICE_METRICS.jobsDuplicate),
          metric(SERVICE_METRICS.jobsStale),
          metric(SERVICE_METRICS.jobsRejected),
        ]),
        graph('Jobs: how their kit was found', THIRD, [
          metric(SERVICE_METRICS.jobsByKitsId),
          metric(SERVICE_METRICS.jobsByLegacyId),
          metric(SERVICE_METRICS.jobsByKitNumber),
          metric(SERVICE_METRICS.jobsConflicting),
        ]),
        graph(
          'Queues',
          THIRD,
          [
            jobs.queue.metricApproximateNumberOfMessagesVisible({ ...visible, label: 'Jobs' }),
            events.queue.metricApproximateNumberOfMessagesVisible({ ...visible, label: 'Events' }),
            jobs.deadLetters.metricApproximateNumberOfMessagesVisible({
              ...visible,
              label: 'Dead jobs',
            }),
            events.deadLetters.metricApproximateNumberOfMessagesVisible({
              ...visible,
              label: 'Dead events',
            }),
          ],
          [
            jobs.queue.metricApproximateAgeOfOldestMessage({
              ...visible,
              label: 'Oldest job, seconds',
            }),
          ],
        ),
      ],
    ];
    super(scope, id, {
      dashboardName: `unified-kits-${environment}`,
      defaultInterval: Duration.hours(3),
      widgets,
    });
  }
}
