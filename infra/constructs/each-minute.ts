import { Duration } from 'aws-cdk-lib';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction as Target } from 'aws-cdk-lib/aws-events-targets';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';

/** How a rule calls a function that is called again soon anyway: once, and not late. */
export const ONCE = { retryAttempts: 0, maxEventAge: Duration.minutes(1) };

/** Calls a function each minute. A call that fails is not made again: the next minute's does the same. */
export const eachMinute = (scope: Construct, id: string, called: LambdaFunction): Rule =>
  new Rule(scope, id, {
    description: `Calls ${called.node.id} each minute`,
    schedule: Schedule.rate(Duration.minutes(1)),
    targets: [new Target(called, ONCE)],
  });
