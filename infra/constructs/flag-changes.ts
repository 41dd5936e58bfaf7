import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as Target } from 'aws-cdk-lib/aws-events-targets';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { flagPrefix } from './flags.ts';

/**
 * Calls `flag-changed` whenever a flag changes, and each minute, because such events are best effort. A call
 * that fails is not made again: the next minute's does the same.
 */
export class FlagChanges extends Construct {
  constructor(scope: Construct, id: string, environment: string, called: LambdaFunction) {
    super(scope, id);
    const target = () => new Target(called, { retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    new Rule(this, 'Change', {
      description: `A flag of unified-kits in ${environment} has changed`,
      eventPattern: {
        source: ['aws.ssm'],
        detailType: ['Parameter Store Change'],
        detail: { name: [{ prefix: flagPrefix(environment) }] },
      },
      targets: [target()],
    });
    new Rule(this, 'EachMinute', {
      description: `Flags and stage of unified-kits in ${environment} are brought together`,
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [target()],
    });
    called.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: Duration.minutes(1) });
  }
}
