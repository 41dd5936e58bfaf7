import { type CfnElement, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { CfnDeliveryStream } from 'aws-cdk-lib/aws-kinesisfirehose';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogStream, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import type { IStateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { KeptLogGroup } from './kept-log-group.ts';
import type { KitsFunction } from './kits-function.ts';

export interface ReportArchiveProps {
  readonly key: IKey;
  readonly workflows: readonly IStateMachine[];
}

/**
 * How every execution ended, with its input and its report: the verdict of an analysis, the summary of a
 * cutover, the proof of a rollback, or what failed. Step Functions forgets executions after ninety days;
 * auditors ask later, and have no login at the database. That takes no code: EventBridge hands on what Step
 * Functions tells, Firehose writes it down, one object each. Beside them are the pages that the workflows write.
 */
export class ReportArchive extends Construct {
  readonly bucket: Bucket;
  private readonly key: IKey;

  constructor(scope: Construct, id: string, { key, workflows }: ReportArchiveProps) {
    super(scope, id);
    this.key = key;
    this.bucket = new Bucket(this, 'Bucket', {
      encryption: BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      versioned: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    Validations.of(this.bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason:
        'One stream writes here and few people read: CloudTrail tells who did, where it is asked to.',
    });
    const log = new KeptLogGroup(this, 'Log', key, RetentionDays.THREE_MONTHS);
    const faults = new LogStream(this, 'Faults', { logGroup: log });
    const role = this.writer(key, log);
    const stream = new CfnDeliveryStream(this, 'Stream', {
      deliveryStreamType: 'DirectPut',
      deliveryStreamEncryptionConfigurationInput: { keyType: 'AWS_OWNED_CMK' },
      extendedS3DestinationConfiguration: {
        bucketArn: this.bucket.bucketArn,
        roleArn: role.roleArn,
        prefix: 'executions/!{timestamp:yyyy/MM/dd}/',
        errorOutputPrefix: 'undelivered/!{firehose:error-output-type}/',
        // At once: executions end rarely, and one that ends is an object of its own.
        bufferingHints: { intervalInSeconds: 0, sizeInMBs: 1 },
        encryptionConfiguration: { kmsEncryptionConfig: { awskmsKeyArn: key.keyArn } },
        cloudWatchLoggingOptions: {
          enabled: true,
          logGroupName: log.logGroupName,
          logStreamName: faults.logStreamName,
        },
      },
    });
    stream.node.addDependency(role);
    new Rule(this, 'Ended', {
      description: 'An execution of unified-kits has ended',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: workflows.map(({ stateMachineArn }) => stateMachineArn),
          status: ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'],
        },
      },
      targets: [
        {
          bind: () => ({
            arn: stream.attrArn,
            role: this.sender(stream),
            input: RuleTargetInput.fromEventPath('$.detail'),
          }),
        },
      ],
    });
  }

  /** Lets a function put the pages of runs beside them. It may read none, and write nothing else. */
  keepPagesOf(writer: KitsFunction): void {
    writer.addEnvironment('REPORT_BUCKET', this.bucket.bucketName);
    const pages = 'reports/*';
    writer.addToRolePolicy(
      new PolicyStatement({
        actions: ['s3:PutObject'],
        resources: [this.bucket.arnForObjects(pages)],
      }),
    );
    writer.addToRolePolicy(
      new PolicyStatement({ actions: ['kms:GenerateDataKey'], resources: [this.key.keyArn] }),
    );
    const { role } = writer;
    if (role === undefined) throw new TypeError(`${writer.node.path} has a role`);
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${this.bucketId()}.Arn>/${pages}]`,
      reason: 'Pages are named by their run.',
    });
  }

  private bucketId(): string {
    return Stack.of(this).getLogicalId(this.bucket.node.defaultChild as CfnElement);
  }

  private sender(stream: CfnDeliveryStream): Role {
    const role = new Role(this, 'Sender', {
      assumedBy: new ServicePrincipal('events.amazonaws.com'),
      description: 'Hands reports of executions on',
    });
    role.addToPolicy(
      new PolicyStatement({ actions: ['firehose:PutRecord'], resources: [stream.attrArn] }),
    );
    return role;
  }

  /** What Firehose writes as: objects into this bucket, and of what goes wrong into its log. */
  private writer(key: IKey, log: KeptLogGroup): Role {
    const role = new Role(this, 'Writer', {
      assumedBy: new ServicePrincipal('firehose.amazonaws.com'),
      description: 'Writes the reports of executions down',
    });
    const objects = this.bucket.arnForObjects('*');
    for (const [resource, ...actions] of [
      [
        this.bucket.bucketArn,
        's3:GetBucketLocation',
        's3:ListBucket',
        's3:ListBucketMultipartUploads',
      ],
      [objects, 's3:AbortMultipartUpload', 's3:PutObject'],
      [key.keyArn, 'kms:GenerateDataKey', 'kms:Decrypt'],
      [log.logGroupArn, 'logs:PutLogEvents'],
    ] as const)
      role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [resource] }));
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${this.bucketId()}.Arn>/*]`,
      reason: 'Objects are named by when they are written.',
    });
    return role;
  }
}
