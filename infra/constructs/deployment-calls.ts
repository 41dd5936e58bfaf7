import { Validations } from 'aws-cdk-lib';
import { type PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { type ILogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import { AwsCustomResource, type AwsCustomResourceProps } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';
import { KeptLogGroup } from './kept-log-group.ts';

/**
 * Calls of AWS's that a deployment makes by itself, for what CloudFormation has no resource that would do.
 * The CDK makes one function for all those of a stack; here is its role, which may do what they do, no more.
 */
export class DeploymentCalls extends Construct {
  readonly #role: Role;
  readonly #logGroup: ILogGroup;

  constructor(scope: Construct, id: string, key: IKey) {
    super(scope, id);
    this.#role = new Role(this, 'Role', {
      assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
      description: 'What deployments of this stack call by themselves',
    });
    this.#logGroup = new KeptLogGroup(this, 'Log', key, RetentionDays.THREE_MONTHS);
    this.#logGroup.grantWrite(this.#role);
    Validations.of(this.#role).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason:
        'Event source mappings have no name of their own: a condition says whose they may be. Lists of AWS’s addresses are only looked up.',
    });
  }

  allow(...statements: readonly PolicyStatement[]): void {
    for (const statement of statements) this.#role.addToPolicy(statement);
  }

  /** One resource's calls. */
  resource(scope: Construct, id: string, props: AwsCustomResourceProps): AwsCustomResource {
    return new AwsCustomResource(scope, id, {
      ...props,
      role: this.#role,
      logGroup: this.#logGroup,
      installLatestAwsSdk: false,
    });
  }
}
