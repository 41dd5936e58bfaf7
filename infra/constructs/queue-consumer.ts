import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { PhysicalResourceId, PhysicalResourceIdReference } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import type { DeploymentCalls } from './deployment-calls.ts';

export interface QueueConsumerProps {
  readonly queue: IQueue;
  readonly consumer: IFunction;
  readonly calls: DeploymentCalls;
  /** Messages an invocation. */
  readonly batchSize: number;
  /** Invocations at a time. */
  readonly mostConcurrent: number;
}

/**
 * What feeds a queue to its consumer. It is created disabled, and whether it is enabled is from then on the
 * operators' and the workflow's alone: `AWS::Lambda::EventSourceMapping` has `Enabled` among what it updates,
 * so a deployment in the middle of a migration would let paused workers go.
 */
export class QueueConsumer extends Construct {
  /** The mapping's UUID. */
  readonly mappingId: string;

  constructor(scope: Construct, id: string, props: QueueConsumerProps) {
    super(scope, id);
    const { queue, consumer, calls, batchSize, mostConcurrent } = props;
    queue.grantConsumeMessages(consumer);
    const settings = {
      FunctionName: consumer.functionArn,
      BatchSize: batchSize,
      MaximumBatchingWindowInSeconds: 1,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: mostConcurrent },
    };
    const itself = { UUID: new PhysicalResourceIdReference() };
    const mapping = calls.resource(this, 'Mapping', {
      resourceType: 'Custom::UnifiedKitsQueueConsumer',
      onCreate: {
        service: 'Lambda',
        action: 'CreateEventSourceMapping',
        parameters: { ...settings, EventSourceArn: queue.queueArn, Enabled: false },
        physicalResourceId: PhysicalResourceId.fromResponse('UUID'),
        outputPaths: ['UUID'],
      },
      onUpdate: {
        service: 'Lambda',
        action: 'UpdateEventSourceMapping',
        parameters: { ...settings, ...itself },
        physicalResourceId: PhysicalResourceId.fromResponse('UUID'),
        outputPaths: ['UUID'],
      },
      onDelete: {
        service: 'Lambda',
        action: 'DeleteEventSourceMapping',
        parameters: itself,
        ignoreErrorCodesMatching: 'ResourceNotFoundException',
      },
    });
    mapping.node.addDependency(consumer);
    calls.allow(mappingStatement(consumer, ['Create', 'Update', 'Delete']));
    this.mappingId = mapping.getResponseField('UUID');
  }
}

type MappingAction = 'Create' | 'Get' | 'Update' | 'Delete';

/** Lets mappings of one function be made, seen, changed or deleted; a mapping's own ARN ends in an id that Lambda makes up. */
export const mappingStatement = (
  consumer: IFunction,
  actions: readonly MappingAction[],
): PolicyStatement =>
  new PolicyStatement({
    actions: actions.map((action) => `lambda:${action}EventSourceMapping`),
    resources: ['*'],
    conditions: { ArnEquals: { 'lambda:FunctionArn': consumer.functionArn } },
  });
