import { Duration } from 'aws-cdk-lib';
import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { type FunctionMetric, NAMESPACE } from '../metrics.ts';

/** What CloudWatch has of a function's metric in one environment: by five minutes, summed up, unless asked otherwise. */
export const functionMetric = (
  { name, service }: FunctionMetric,
  environment: string,
  { statistic = 'Sum', minutes = 5, label = name } = {},
): Metric =>
  new Metric({
    namespace: NAMESPACE,
    metricName: name,
    dimensionsMap: { Environment: environment, service },
    statistic,
    period: Duration.minutes(minutes),
    label,
  });
