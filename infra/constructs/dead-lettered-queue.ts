import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import { type IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type IQueue, Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';

/** Longer than a migration pauses its consumer, and short enough for days to be left among the dead letters: age counts on. */
const RETENTION = Duration.days(10);
const LONGEST_RETENTION = Duration.days(14);

export interface DeadLetteredQueueProps {
  readonly key: IKey;
  readonly visibilityTimeoutSeconds: number;
  /** After so many receives the queue itself gives a message up. */
  readonly mostReceives: number;
}

/**
 * A queue, and where its messages end that nobody could work on. Both stay when their stack goes, with what
 * is in them; their names are CloudFormation's, so that another stack may follow.
 */
export class DeadLetteredQueue extends Construct {
  readonly queue: Queue;
  readonly deadLetters: Queue;

  constructor(scope: Construct, id: string, props: DeadLetteredQueueProps) {
    super(scope, id);
    const common = {
      encryption: QueueEncryption.KMS,
      encryptionMasterKey: props.key,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.RETAIN,
    };
    this.deadLetters = new Queue(this, 'DeadLetters', {
      ...common,
      retentionPeriod: LONGEST_RETENTION,
    });
    this.queue = new Queue(this, 'Queue', {
      ...common,
      retentionPeriod: RETENTION,
      visibilityTimeout: Duration.seconds(props.visibilityTimeoutSeconds),
      deadLetterQueue: { queue: this.deadLetters, maxReceiveCount: props.mostReceives },
    });
  }
}

/** Lets a function send, and no more: the CDK's own grant comes with kinds of use of the key that sending has none of. */
export const grantSend = (sender: IGrantable, queue: IQueue, key: IKey): void => {
  const { grantPrincipal } = sender;
  grantPrincipal.addToPrincipalPolicy(
    new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [queue.queueArn] }),
  );
  grantPrincipal.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
      resources: [key.keyArn],
    }),
  );
};
