import { ArnFormat, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Effect, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Architecture, Function as LambdaFunction, Runtime, Tracing } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { AUTHORITIES_FILE, functionCode, MAPPING_FILE } from '../code/assets.ts';
import type { FunctionDeclaration } from '../function-table.ts';
import type { CodeLayers } from './code-layers.ts';
import { createFlagsStatements, grantReadFlags, grantWriteFlags } from './flags.ts';
import { type Foundation, nameOf } from './foundation.ts';
import { KeptLogGroup } from './kept-log-group.ts';

export interface KitsFunctionProps {
  readonly declaration: FunctionDeclaration;
  readonly foundation: Foundation;
  readonly layers: CodeLayers;
  /** On top of what every function is given. */
  readonly variables?: Readonly<Record<string, string>>;
}

/** What Lambda needs to put a function into a network. */
const NETWORK_ACTIONS = [
  'ec2:CreateNetworkInterface',
  'ec2:DescribeNetworkInterfaces',
  'ec2:DescribeSubnets',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];

/** A role with nothing but a place in the network; what a function may do is added to it. */
const roleOf = (scope: Construct, functionName: string): Role => {
  const role = new Role(scope, 'Role', {
    assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    description: `What ${functionName} may do`,
  });
  role.addToPolicy(new PolicyStatement({ actions: NETWORK_ACTIONS, resources: ['*'] }));
  // Lambda does that before any code runs: the code itself may not.
  role.addToPolicy(
    new PolicyStatement({
      effect: Effect.DENY,
      actions: NETWORK_ACTIONS,
      resources: ['*'],
      conditions: {
        ArnEquals: {
          'lambda:SourceFunctionArn': Stack.of(scope).formatArn({
            service: 'lambda',
            resource: 'function',
            resourceName: functionName,
            arnFormat: ArnFormat.COLON_RESOURCE_NAME,
          }),
        },
      },
    }),
  );
  return role;
};

/**
 * One function: its code beside the layers, a role and a log of its own, in the database's network. Each
 * deployment that changes it publishes a version, and those before stay: executions under way call them.
 */
export class KitsFunction extends LambdaFunction {
  constructor(scope: Construct, id: string, props: KitsFunctionProps) {
    const { declaration, foundation, layers, variables } = props;
    const { settings, key, database } = foundation;
    const { folder, description, timeoutSeconds, memoryMb } = declaration;
    const login = database.logins[declaration.login];
    const functionName = nameOf(settings, folder);
    const own = new Construct(scope, `${id}Parts`);
    const role = roleOf(own, functionName);
    const logGroup = new KeptLogGroup(own, 'Log', key, RetentionDays.THREE_MONTHS);
    super(scope, id, {
      functionName,
      description,
      code: functionCode(folder),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      layers: [...layers.all],
      memorySize: memoryMb,
      timeout: Duration.seconds(timeoutSeconds),
      role,
      logGroup,
      tracing: Tracing.ACTIVE,
      vpc: database.vpc,
      vpcSubnets: database.subnets,
      securityGroups: [database.clients],
      environment: {
        KITS_ENVIRONMENT: settings.environment,
        KITS_MAPPING: MAPPING_FILE,
        DATABASE_URL: login.url,
        DATABASE_SECRET_ID: login.secret.secretArn,
        NODE_OPTIONS: '--enable-source-maps',
        ...(database.authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: AUTHORITIES_FILE }),
        ...variables,
      },
      // Kept for the executions that call it, but not when the deployment that made it fails: the next one
      // would publish the same code again, which Lambda answers with the version that is there.
      currentVersionOptions: { removalPolicy: RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE },
    });
    logGroup.grantWrite(role);
    login.secret.grantRead(role);
    // That grants the key to nobody where its policy is another stack's.
    login.secret.encryptionKey?.grantDecrypt(role);
    const { environment } = settings;
    if (declaration.readsFlags) grantReadFlags(role, this, environment);
    if (declaration.writesFlags.length > 0)
      grantWriteFlags(role, this, environment, declaration.writesFlags);
    if (declaration.createsFlags === true)
      for (const statement of createFlagsStatements(this, environment)) role.addToPolicy(statement);
    Validations.of(role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'Network interfaces have no ARN before Lambda makes them, and traces none at all; the code itself is denied the former.',
    });
  }
}
