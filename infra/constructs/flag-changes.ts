import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as Target } from 'aws-cdk-lib/aws-events-targets';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { eachMinute, ONCE } from './each-minute.ts';
import { flagPrefix } from './flags.ts';

/** Calls `flag-changed` whenever a flag changes, and each minute, because such events are best effort. */
export class FlagChanges extends Construct {
  constructor(scope: Construct, id: string, environment: string, called: LambdaFunction) {
    super(scope, id);
    new Rule(this, 'Change', {
      description: `A flag of unified-kits in ${environment} has changed`,
      eventPattern: {
        source: ['aws.ssm'],
        detailType: ['Parameter Store Change'],
        detail: { name: [{ prefix: flagPrefix(environment) }] },
      },
      targets: [new Target(called, ONCE)],
    });
    eachMinute(this, 'EachMinute', called);
    called.configureAsyncInvoke(ONCE);
  }
}
