import { FLAG_NAMES, FLAG_PARAMETERS, type FlagName } from '@unified-kits/domain';
import { Stack } from 'aws-cdk-lib';
import { Effect, type IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { PhysicalResourceId } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import type { DeploymentCalls } from './deployment-calls.ts';

/** What a flag's path begins with. */
export const flagPrefix = (environment: string): string => `/unified-kits/${environment}/`;

const arnOfFlag = (scope: Construct, environment: string, flag: FlagName): string =>
  Stack.of(scope).formatArn({
    service: 'ssm',
    resource: 'parameter',
    resourceName: `${flagPrefix(environment)}${FLAG_PARAMETERS[flag].parameter}`.slice(1),
  });

export const arnsOfFlags = (scope: Construct, environment: string, flags: readonly FlagName[]) =>
  flags.map((flag) => arnOfFlag(scope, environment, flag));

/** Lets a function read every flag of an environment. */
export const grantReadFlags = (
  grantee: IGrantable,
  scope: Construct,
  environment: string,
): void => {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['ssm:GetParameter', 'ssm:GetParameters'],
      resources: arnsOfFlags(scope, environment, FLAG_NAMES),
    }),
  );
};

/** Lets a function set some flags. */
export const grantWriteFlags = (
  grantee: IGrantable,
  scope: Construct,
  environment: string,
  flags: readonly FlagName[],
): void => {
  grantee.grantPrincipal.addToPrincipalPolicy(
    new PolicyStatement({
      actions: ['ssm:PutParameter'],
      resources: arnsOfFlags(scope, environment, flags),
    }),
  );
};

/** May create flags that are missing, and overwrite none. */
export const createFlagsStatements = (scope: Construct, environment: string): PolicyStatement[] => {
  const resources = arnsOfFlags(scope, environment, FLAG_NAMES);
  return [
    new PolicyStatement({ actions: ['ssm:PutParameter'], resources }),
    new PolicyStatement({
      effect: Effect.DENY,
      actions: ['ssm:PutParameter'],
      resources,
      conditions: { StringEquals: { 'ssm:Overwrite': 'true' } },
    }),
  ];
};

/**
 * The flags, created where they are missing and never touched again. As `AWS::SSM::Parameter` they would be
 * set back to their value at birth by a deployment that changes no more than a tag of theirs, in the middle
 * of a migration. They stay when the stack goes, and a stack that comes later takes them as they are.
 */
export class Flags extends Construct {
  constructor(scope: Construct, id: string, environment: string, calls: DeploymentCalls) {
    super(scope, id);
    calls.allow(...createFlagsStatements(this, environment));
    for (const { parameter, allowedPattern, initial } of Object.values(FLAG_PARAMETERS)) {
      const name = flagPrefix(environment) + parameter;
      calls.resource(this, parameter, {
        resourceType: 'Custom::UnifiedKitsFlag',
        onCreate: {
          service: 'SSM',
          action: 'PutParameter',
          parameters: {
            Name: name,
            Value: initial,
            Type: 'String',
            AllowedPattern: allowedPattern,
            Overwrite: false,
          },
          ignoreErrorCodesMatching: 'ParameterAlreadyExists',
          physicalResourceId: PhysicalResourceId.of(name),
        },
      });
    }
  }
}
