import { Duration } from 'aws-cdk-lib';
import { type IMetric, MathExpression } from 'aws-cdk-lib/aws-cloudwatch';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { StateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { FLAG_PUT_BACK, MIGRATION_METRICS } from '../metrics.ts';
import type { Foundation } from './foundation.ts';
import { functionMetric } from './function-metrics.ts';
import { RunbookAlarm, type RunbookAlarmProps } from './runbook-alarm.ts';

export interface MigrationAlarmsProps {
  readonly foundation: Foundation;
  readonly workflows: readonly StateMachine[];
  readonly flagChanged: IFunction;
}

type Declaration = Omit<RunbookAlarmProps, 'foundation'>;

const period = Duration.minutes(5);

/** The sum of metrics, of which some may have no value. */
const sumOf = (label: string, all: readonly IMetric[]): IMetric => {
  const usingMetrics = Object.fromEntries(all.map((metric, index) => [`m${index}`, metric]));
  const expression = Object.keys(usingMetrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(' + ');
  return new MathExpression({ expression, usingMetrics, label, period });
};

/** Executions of any workflow that ended badly. */
const failedExecutions = (workflows: readonly StateMachine[]): IMetric =>
  sumOf(
    'Executions that failed',
    workflows.flatMap((workflow) => [
      workflow.metricFailed({ period }),
      workflow.metricTimedOut({ period }),
      workflow.metricAborted({ period }),
    ]),
  );

/** What calls an operator of the migration, and where the runbook goes on. */
export class MigrationAlarms extends Construct {
  readonly all: readonly RunbookAlarm[];

  constructor(scope: Construct, id: string, props: MigrationAlarmsProps) {
    super(scope, id);
    const { foundation, workflows, flagChanged } = props;
    const { environment } = foundation.settings;
    const seen = MIGRATION_METRICS;
    const declared: readonly Declaration[] = [
      {
        heading: 'When something fails',
        seen: 'An execution of the cutover or the rollback has failed.',
        metric: failedExecutions(workflows),
      },
      {
        heading: 'ParityMismatch: parity mismatch',
        seen: 'A comparison has found rows that differ.',
        metric: functionMetric(seen.parityMismatches, environment),
      },
      {
        heading: 'BacklogStuck: backlog not draining',
        seen: 'For five minutes keys have waited that the drain cannot take.',
        metric: functionMetric(seen.backlogStuck, environment, {
          statistic: 'Maximum',
          minutes: 1,
        }),
        periods: 5,
      },
      {
        heading: 'Mirror failing',
        seen: 'For three minutes a mirror has failed on writes.',
        metric: functionMetric(seen.mirrorFailures, environment, {
          statistic: 'Maximum',
          minutes: 1,
        }),
        periods: 3,
      },
      {
        heading: 'Fence refusals do not fade',
        seen: 'For an hour clients have written to the store that is not authoritative.',
        // The window looks every five minutes unless it is told otherwise: each period has a look in it.
        metric: functionMetric(seen.fenceRefusals, environment, { minutes: 15 }),
        periods: 4,
      },
      {
        heading: 'MonitorBreach: monitor breach',
        seen: 'The monitoring window has seen something that must be looked at.',
        metric: functionMetric(seen.monitorBreaches, environment),
      },
      {
        heading: 'IllegalWish, flag put back',
        seen: 'A flag asked for what cannot be, and was put back.',
        metric: sumOf(
          'Flags put back',
          FLAG_PUT_BACK.map((one) => functionMetric(one, environment)),
        ),
      },
      {
        heading: 'FlagsUnreadable: guard unreadable',
        seen: 'For five minutes flags and stage could not be brought together.',
        metric: flagChanged.metricErrors({ period: Duration.minutes(1) }),
        periods: 5,
      },
    ];
    this.all = declared.map(
      (declaration) => new RunbookAlarm(this, { ...declaration, foundation }),
    );
  }
}
