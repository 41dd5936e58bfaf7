import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { Construct } from 'constructs';
import { runbookLink } from '../runbook.ts';
import type { Foundation } from './foundation.ts';

export interface RunbookAlarmProps {
  /** Of RUNBOOK.md: the alarm's name, and where its description leads. */
  readonly heading: string;
  /** What has been seen when it goes off. */
  readonly seen: string;
  readonly metric: IMetric;
  /** Least value that is too much; 1 by default. */
  readonly threshold?: number;
  /** Periods of the metric in a row that must be too much; 1 by default. */
  readonly periods?: number;
  readonly foundation: Foundation;
}

/** An alarm with a page in the runbook: it has that page's name, leads there, and tells the alarms' topic. */
export class RunbookAlarm extends Alarm {
  constructor(scope: Construct, props: RunbookAlarmProps) {
    const { heading, seen, metric, threshold = 1, periods = 1, foundation } = props;
    const { settings, alarms } = foundation;
    super(scope, heading.replaceAll(/\W+/g, ''), {
      alarmName: `unified-kits ${settings.environment}: ${heading}`,
      alarmDescription: `${seen} ${runbookLink(settings.runbookUrl, heading)}`,
      metric,
      threshold,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: periods,
      datapointsToAlarm: periods,
      // Counted things are missing when there are none.
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
    const action = new SnsAction(alarms);
    this.addAlarmAction(action);
    this.addOkAction(action);
  }
}
