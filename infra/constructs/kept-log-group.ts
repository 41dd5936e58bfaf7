import { RemovalPolicy } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';

/** An encrypted log that stays when its stack goes. Without a name of its own, so that a new stack may follow. */
export class KeptLogGroup extends LogGroup {
  constructor(scope: Construct, id: string, key: IKey, retention: RetentionDays) {
    super(scope, id, { encryptionKey: key, retention, removalPolicy: RemovalPolicy.RETAIN });
  }
}
