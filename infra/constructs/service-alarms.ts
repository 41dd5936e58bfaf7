import { Duration } from 'aws-cdk-lib';
import { MathExpression } from 'aws-cdk-lib/aws-cloudwatch';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { SERVICE_METRICS } from '../metrics.ts';
import type { DeadLetteredQueue } from './dead-lettered-queue.ts';
import type { Foundation } from './foundation.ts';
import { functionMetric } from './function-metrics.ts';
import { RunbookAlarm } from './runbook-alarm.ts';

/** Older than this, and nobody takes jobs; a pause of the workers takes as long only when it is meant to. */
const OLDEST = Duration.minutes(15);

export interface ServiceAlarmsProps {
  readonly foundation: Foundation;
  readonly jobs: DeadLetteredQueue;
  readonly events: DeadLetteredQueue;
  readonly relay: IFunction;
}

/** What calls an operator of the service, and where the runbook goes on. */
export class ServiceAlarms extends Construct {
  readonly all: readonly RunbookAlarm[];

  constructor(scope: Construct, id: string, props: ServiceAlarmsProps) {
    super(scope, id);
    const { foundation, jobs, events, relay } = props;
    const { environment } = foundation.settings;
    const period = Duration.minutes(1);
    const dead = ({ deadLetters }: DeadLetteredQueue) =>
      deadLetters.metricApproximateNumberOfMessagesVisible({ period, statistic: 'Maximum' });
    this.all = [
      new RunbookAlarm(this, {
        foundation,
        heading: 'Dead letters: DLQ not empty',
        seen: 'Messages that nobody could work on wait in a dead-letter queue.',
        metric: new MathExpression({
          expression: 'FILL(jobs, 0) + FILL(events, 0)',
          usingMetrics: { jobs: dead(jobs), events: dead(events) },
          label: 'Dead letters',
          period,
        }),
      }),
      new RunbookAlarm(this, {
        foundation,
        heading: 'Jobs wait: oldest message age',
        seen: `A job has waited for ${OLDEST.toMinutes()} minutes.`,
        metric: jobs.queue.metricApproximateAgeOfOldestMessage({ period, statistic: 'Maximum' }),
        threshold: OLDEST.toSeconds(),
        periods: 5,
      }),
      new RunbookAlarm(this, {
        foundation,
        heading: 'The API fails',
        seen: 'For five minutes requests have been answered with a status of 500 or more.',
        metric: functionMetric(SERVICE_METRICS.errors, environment, { minutes: 1 }),
        periods: 5,
      }),
      new RunbookAlarm(this, {
        foundation,
        heading: 'Events not handed on',
        seen: 'For five minutes the relay has failed.',
        metric: relay.metricErrors({ period }),
        periods: 5,
      }),
    ];
  }
}
