import { Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  InstanceType,
  type ISecurityGroup,
  type IVpc,
  Port,
  SecurityGroup,
  SubnetType,
} from 'aws-cdk-lib/aws-ec2';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import {
  CaCertificate,
  type CfnDBInstance,
  DatabaseInstance,
  DatabaseInstanceEngine,
  DatabaseProxy,
  DatabaseSecret,
  PostgresEngineVersion,
  ProxyTarget,
  StorageType,
} from 'aws-cdk-lib/aws-rds';
import { HostedRotation, type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import type { NewDatabaseSettings } from '../settings.ts';
import { type DatabaseLogin, databaseUrl, type LoginName } from './database-access.ts';

const PORT = 5432;

const PARAMETERS = {
  'rds.force_ssl': '1',
  // Kit numbers stand in the details of unique violations and in statements: keep them out of the log.
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
  // RDS keeps it, for as long as it does, in minutes.
  'rds.log_retention_period': '10080',
  // A process that Lambda has frozen for good must not hold a connection for ever.
  idle_session_timeout: String(Duration.minutes(30).toMilliseconds()),
};

export interface NewDatabaseProps {
  readonly settings: NewDatabaseSettings;
  readonly vpc: IVpc;
  readonly clients: ISecurityGroup;
  readonly key: IKey;
  /** The same, as other stacks may be granted it. */
  readonly sharedKey: IKey;
}

/**
 * A Postgres of RDS: encrypted, spoken to over TLS alone, backed up, protected from deletion, and kept when
 * its stack goes. RDS keeps and rotates the password of its first user, which runs the migration; the
 * service logs in as `kits_service`, whose password is rotated by the month.
 */
export class NewDatabase extends Construct {
  readonly instance: DatabaseInstance;
  readonly logins: Readonly<Record<LoginName, DatabaseLogin>>;

  constructor(scope: Construct, id: string, props: NewDatabaseProps) {
    super(scope, id);
    const { settings, vpc, clients, key, sharedKey } = props;
    const { databaseName, multiAz } = settings;
    const group = new SecurityGroup(this, 'Group', {
      vpc,
      description: 'Database of unified-kits',
      allowAllOutbound: false,
    });
    clients.connections.allowTo(group, Port.tcp(PORT), 'Postgres');
    const instance = new DatabaseInstance(this, 'Instance', {
      // The minor version is RDS's to choose and to raise.
      engine: DatabaseInstanceEngine.postgres({ version: PostgresEngineVersion.VER_18 }),
      parameters: PARAMETERS,
      instanceType: new InstanceType(settings.instanceType),
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      securityGroups: [group],
      port: PORT,
      databaseName,
      manageMasterUserPassword: true,
      multiAz,
      storageType: StorageType.GP3,
      allocatedStorage: settings.storageGib,
      maxAllocatedStorage: settings.mostStorageGib,
      storageEncryptionKey: key,
      caCertificate: CaCertificate.RDS_CA_RSA2048_G1,
      backupRetention: Duration.days(settings.backupDays),
      deleteAutomatedBackups: false,
      copyTagsToSnapshot: true,
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
      autoMinorVersionUpgrade: true,
      enablePerformanceInsights: true,
      performanceInsightEncryptionKey: key,
    });
    this.instance = instance;
    (instance.node.defaultChild as CfnDBInstance).masterUserSecret = { kmsKeyId: key.keyArn };
    const kept = new DatabaseSecret(this, 'ServiceLogin', {
      username: 'kits_service',
      dbname: databaseName,
      encryptionKey: key,
    });
    kept.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const serviceSecret = kept.attach(instance);
    serviceSecret.addRotationSchedule('Monthly', {
      hostedRotation: HostedRotation.postgreSqlSingleUser({
        vpc,
        vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
        securityGroups: [clients],
      }),
      automaticallyAfter: Duration.days(30),
      // The role that the password is for is made by hand, after the first deployment.
      rotateImmediatelyOnUpdate: false,
    });
    const shared = (id: string, { secretArn }: ISecret) =>
      Secret.fromSecretAttributes(this, id, {
        secretCompleteArn: secretArn,
        encryptionKey: sharedKey,
      });
    const host = instance.dbInstanceEndpointAddress;
    const serviceHost = settings.proxy ? this.proxy(props, serviceSecret).endpoint : host;
    this.logins = {
      migration: {
        url: databaseUrl(host, PORT, databaseName),
        secret: shared('SharedMigrationLogin', instance.secret as ISecret),
      },
      service: {
        url: databaseUrl(serviceHost, PORT, databaseName),
        secret: shared('SharedServiceLogin', serviceSecret),
      },
    };
    Validations.of(instance).acknowledge({
      id: 'AwsSolutions-RDS11',
      reason: 'The port is no secret: security groups say who reaches it.',
    });
    if (!multiAz)
      Validations.of(instance).acknowledge({
        id: 'AwsSolutions-RDS3',
        reason: 'Asked for in the settings: an environment that may be down with its zone.',
      });
  }

  private proxy({ vpc, clients }: NewDatabaseProps, secret: ISecret): DatabaseProxy {
    const group = new SecurityGroup(this, 'ProxyGroup', {
      vpc,
      description: 'Proxy of the database of unified-kits',
      allowAllOutbound: false,
    });
    clients.connections.allowTo(group, Port.tcp(PORT), 'Postgres');
    group.connections.allowTo(this.instance, Port.tcp(PORT), 'Postgres');
    return new DatabaseProxy(this, 'Proxy', {
      proxyTarget: ProxyTarget.fromInstance(this.instance),
      secrets: [secret],
      vpc,
      vpcSubnets: { subnetType: SubnetType.PRIVATE_ISOLATED },
      securityGroups: [group],
      requireTLS: true,
      idleClientTimeout: Duration.minutes(30),
    });
  }
}
