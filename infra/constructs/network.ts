import {
  FlowLogDestination,
  FlowLogTrafficType,
  type IInterfaceVpcEndpointService,
  InterfaceVpcEndpoint,
  InterfaceVpcEndpointAwsService,
  IpAddresses,
  type ISecurityGroup,
  type IVpc,
  Port,
  SecurityGroup,
  type SubnetSelection,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
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
