import { Fn, Stack, type StackProps, Validations } from 'aws-cdk-lib';
import {
  type ISecurityGroup,
  type ISubnet,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  Subnet,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { type IKey, Key } from 'aws-cdk-lib/aws-kms';
import { type ISecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { readAuthorities } from '../code/authorities.ts';
import { DataKey } from '../constructs/data-key.ts';
import { type DatabaseAccess, databaseUrl } from '../constructs/database-access.ts';
import { DeploymentCalls } from '../constructs/deployment-calls.ts';
import type { Foundation } from '../constructs/foundation.ts';
import { BucketsEndpoint, clientsGroup, Endpoints, isolatedVpc } from '../constructs/network.ts';
import { NewDatabase } from '../constructs/new-database.ts';
import type { ExistingDatabaseSettings, NewDatabaseSettings, Settings } from '../settings.ts';

interface DatabaseStackProps extends StackProps {
  readonly settings: Settings;
}

/**
 * What outlives everything else: the key, the database (a new one, or the way to one that is there), the
 * network's part of it, and the topic of the alarms.
 */
export class DatabaseStack extends Stack {
  readonly foundation: Foundation;
  readonly #settings: Settings;
  readonly #key: Key;
  /** The key by its ARN: what other stacks are granted stands in their roles, and not in its policy, which would need them in turn. */
  readonly #sharedKey: IKey;

  constructor(scope: Construct, id: string, { settings, ...props }: DatabaseStackProps) {
    super(scope, id, { terminationProtection: true, ...props });
    this.#settings = settings;
    this.#key = new DataKey(this, 'Key', settings.environment);
    this.#sharedKey = Key.fromKeyArn(this, 'SharedKey', this.#key.keyArn);
    const database =
      settings.database.kind === 'new'
        ? this.made(settings.database)
        : this.found(settings.database);
    this.foundation = { settings, key: this.#sharedKey, database, alarms: this.alarms() };
  }

  /** Two, whichever they are: the CDK would look an account's up, and synthesis must not need the account. */
  override get availabilityZones(): string[] {
    return [0, 1].map((index) => Fn.select(index, Fn.getAzs()));
  }

  private made(settings: NewDatabaseSettings): DatabaseAccess {
    const key = this.#key;
    const vpc = isolatedVpc(this, key);
    const clients = clientsGroup(this, vpc);
    const { logins } = new NewDatabase(this, 'Database', {
      settings,
      vpc,
      clients,
      key,
      sharedKey: this.#sharedKey,
    });
    const { subnets } = vpc.selectSubnets({ subnetType: SubnetType.PRIVATE_ISOLATED });
    const zones = { subnets: subnets.slice(0, this.#settings.endpointZones) };
    new Endpoints(this, 'Endpoints', { vpc, clients, subnets: zones });
    this.buckets(vpc, clients, [
      ...new Set(subnets.map(({ routeTable }) => routeTable.routeTableId)),
    ]);
    return { vpc, clients, logins, subnets: { subnets } };
  }

  private found(settings: ExistingDatabaseSettings): DatabaseAccess {
    const { host, port, databaseName, serviceHost = host } = settings;
    const vpc = this.vpcOf(settings);
    const subnets = settings.subnetIds.map((id) => this.subnetOf(id));
    const clients = clientsGroup(this, vpc);
    const group = SecurityGroup.fromSecurityGroupId(this, 'Group', settings.securityGroupId);
    clients.connections.allowTo(group, Port.tcp(port), 'Postgres');
    if (settings.endpoints) {
      const zones = { subnets: subnets.slice(0, this.#settings.endpointZones) };
      new Endpoints(this, 'Endpoints', { vpc, clients, subnets: zones });
      this.buckets(vpc, clients, settings.routeTableIds);
    } else clients.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'AWS, by the ways out there are');
    const secretKey =
      settings.secretKeyArn === undefined
        ? {}
        : { encryptionKey: Key.fromKeyArn(this, 'SecretKey', settings.secretKeyArn) };
    const secret = (id: string, secretCompleteArn: string): ISecret =>
      Secret.fromSecretAttributes(this, id, { secretCompleteArn, ...secretKey });
    return {
      vpc,
      subnets: { subnets },
      clients,
      ...(settings.caFile === undefined ? {} : { authorities: readAuthorities(settings.caFile) }),
      logins: {
        migration: {
          url: databaseUrl(host, port, databaseName),
          secret: secret('MigrationLogin', settings.migrationSecretArn),
        },
        service: {
          url: databaseUrl(serviceHost, port, databaseName),
          secret: secret('ServiceLogin', settings.serviceSecretArn),
        },
      },
    };
  }

  private buckets(vpc: IVpc, clients: ISecurityGroup, routeTableIds: readonly string[]): void {
    const calls = new DeploymentCalls(this, 'Calls', this.#key);
    new BucketsEndpoint(this, 'Buckets', { vpc, clients, calls, routeTableIds });
  }

  /** Without a lookup, which would need the account at synthesis. */
  private vpcOf({ vpcId, subnetIds }: ExistingDatabaseSettings): IVpc {
    return Vpc.fromVpcAttributes(this, 'Vpc', {
      vpcId,
      availabilityZones: this.availabilityZones.slice(0, subnetIds.length),
    });
  }

  private subnetOf(id: string): ISubnet {
    const subnet = Subnet.fromSubnetId(this, id, id);
    Validations.of(subnet).acknowledge({
      id: '@aws-cdk/aws-ec2:noSubnetRouteTableId',
      reason: 'Nothing here is routed: functions and endpoints are only put into it.',
    });
    return subnet;
  }

  private alarms(): Topic {
    const topic = new Topic(this, 'Alarms', {
      displayName: `unified-kits ${this.#settings.environment}`,
      masterKey: this.#key,
      enforceSSL: true,
    });
    // A policy of one's own takes the place of the default one, which would let alarms publish.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsOfThisAccount',
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    const { alarmEmail } = this.#settings;
    if (alarmEmail !== undefined) topic.addSubscription(new EmailSubscription(alarmEmail));
    return topic;
  }
}
