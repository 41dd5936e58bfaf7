import { Aws } from 'aws-cdk-lib';
import {
  CfnVPCEndpoint,
  FlowLogDestination,
  FlowLogTrafficType,
  type IInterfaceVpcEndpointService,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { AnyPrincipal, PolicyDocument, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import type { DeploymentCalls } from './deployment-calls.ts';
import { KeptLogGroup } from './kept-log-group.ts';

/** A network without a way out, in two zones: nothing in it needs one, and a NAT gateway costs more. */
export const isolatedVpc = (scope: Construct, key: IKey): IVpc =>
  new Vpc(scope, 'Vpc', {
    ipAddresses: IpAddresses.cidr('10.42.0.0/20'),
    maxAzs: 2,
    natGateways: 0,
    subnetConfiguration: [{ name: 'data', subnetType: SubnetType.PRIVATE_ISOLATED, cidrMask: 23 }],
    restrictDefaultSecurityGroup: true,
    flowLogs: {
      rejected: {
        trafficType: FlowLogTrafficType.REJECT,
        destination: FlowLogDestination.toCloudWatchLogs(
          new KeptLogGroup(scope, 'FlowLog', key, RetentionDays.ONE_MONTH),
        ),
      },
    },
  }) as IVpc; // Its optional property is one that may be undefined, which this compiler tells apart.

/** The security group that functions are in. It lets nothing in, and out only to what is named. */
export const clientsGroup = (scope: Construct, vpc: IVpc): SecurityGroup =>
  new SecurityGroup(scope, 'Clients', {
    vpc,
    description: 'Functions of unified-kits',
    allowAllOutbound: false,
  });

/** What the functions call of AWS, by the names that constructs get. Logs and traces leave through Lambda itself. */
const CALLED = {
  Parameters: InterfaceVpcEndpointAwsService.SSM,
  Secrets: InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
  Queues: InterfaceVpcEndpointAwsService.SQS,
  Functions: InterfaceVpcEndpointAwsService.LAMBDA,
} as const satisfies Readonly<Record<string, IInterfaceVpcEndpointService>>;

export interface EndpointsProps {
  readonly vpc: IVpc;
  readonly subnets: SubnetSelection;
  readonly clients: ISecurityGroup;
}

/** The ways to AWS's services that the functions need, for the functions alone. */
export class Endpoints extends Construct {
  constructor(scope: Construct, id: string, { vpc, subnets, clients }: EndpointsProps) {
    super(scope, id);
    const group = new SecurityGroup(this, 'Group', {
      vpc,
      description: 'Endpoints for the functions of unified-kits',
      allowAllOutbound: false,
    });
    clients.connections.allowTo(group, Port.tcp(443), 'AWS services');
    for (const [name, service] of Object.entries(CALLED))
      new InterfaceVpcEndpoint(this, name, {
        vpc,
        subnets,
        service,
        securityGroups: [group],
        open: false,
      });
  }
}

export interface BucketsEndpointProps {
  readonly vpc: IVpc;
  readonly clients: ISecurityGroup;
  readonly calls: DeploymentCalls;
  /** Of the functions' subnets; none where the network has such an endpoint already. */
  readonly routeTableIds: readonly string[];
}

/** The way to S3, for reports. Such an endpoint is a route and costs nothing; it leads to this account's buckets, to write. */
export class BucketsEndpoint extends Construct {
  constructor(scope: Construct, id: string, props: BucketsEndpointProps) {
    super(scope, id);
    const { vpc, clients, calls, routeTableIds } = props;
    const serviceName = `com.amazonaws.${Aws.REGION}.s3`;
    if (routeTableIds.length > 0)
      new CfnVPCEndpoint(this, 'Gateway', {
        vpcEndpointType: 'Gateway',
        vpcId: vpc.vpcId,
        serviceName,
        routeTableIds: [...routeTableIds],
        policyDocument: new PolicyDocument({
          statements: [
            new PolicyStatement({
              principals: [new AnyPrincipal()],
              actions: ['s3:PutObject'],
              resources: ['*'],
              conditions: { StringEquals: { 'aws:ResourceAccount': Aws.ACCOUNT_ID } },
            }),
          ],
        }),
      });
    // A security group names S3 by a list of AWS's addresses, whose id is another in each region.
    calls.allow(
      new PolicyStatement({ actions: ['ec2:DescribeManagedPrefixLists'], resources: ['*'] }),
    );
    const list = calls.resource(this, 'Addresses', {
      resourceType: 'Custom::UnifiedKitsPrefixList',
      onUpdate: {
        service: 'EC2',
        action: 'DescribeManagedPrefixLists',
        parameters: { Filters: [{ Name: 'prefix-list-name', Values: [serviceName] }] },
        physicalResourceId: PhysicalResourceId.of('s3'),
        outputPaths: ['PrefixLists.0.PrefixListId'],
      },
    });
    clients.addEgressRule(
      Peer.prefixList(list.getResponseField('PrefixLists.0.PrefixListId')),
      Port.tcp(443),
      'S3',
    );
  }
}
