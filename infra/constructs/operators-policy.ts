import { FLAG_NAMES } from '@unified-kits/domain';
import { ArnFormat, Stack, Token, Validations } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IFunction } from 'aws-cdk-lib/aws-lambda';
import type { IStateMachine } from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { OperatedFunction } from '../cli/remote.ts';
import type { Settings } from '../settings.ts';
import { WORKFLOWS } from '../workflows/load-workflow.ts';
import { arnsOfFlags } from './flags.ts';
import { nameOf } from './foundation.ts';

/** What operators call by themselves: what the command line does, and the runbook's check of the contract. */
const OPERATED: Readonly<Record<OperatedFunction | 'phase4-contract-check', true>> = {
  operations: true,
  'phase0-analysis': true,
  'phase4-contract-check': true,
  'phase5-queues': true,
  reports: true,
};

export interface OperatorsPolicyProps {
  readonly settings: Settings;
  readonly workflows: readonly IStateMachine[];
  readonly functionOf: (folder: string) => IFunction;
}

/** A value as findings show it: what only CloudFormation knows goes by its name. */
const shown = (value: string, name: string): string =>
  Token.isUnresolved(value) ? `<AWS::${name}>` : value;

/** For the role of whoever operates a migration, with the command line or in the console; nobody has it before it is given. */
export class OperatorsPolicy extends ManagedPolicy {
  constructor(scope: Construct, id: string, props: OperatorsPolicyProps) {
    const { settings, workflows, functionOf } = props;
    const { environment } = settings;
    const stack = Stack.of(scope);
    const machines = workflows.map(({ stateMachineArn }) => stateMachineArn);
    const executions = WORKFLOWS.map((workflow) => ({
      service: 'states',
      resource: 'execution',
      resourceName: `${nameOf(settings, workflow)}:*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    }));
    super(scope, id, {
      managedPolicyName: nameOf(settings, 'operators'),
      description: `Operating the migration of unified-kits in ${environment}`,
      statements: [
        new PolicyStatement({
          actions: ['cloudformation:DescribeStacks'],
          resources: [stack.stackId],
        }),
        new PolicyStatement({
          actions: ['lambda:InvokeFunction'],
          resources: Object.keys(OPERATED).map((folder) => functionOf(folder).functionArn),
        }),
        new PolicyStatement({
          actions: [
            'states:StartExecution',
            'states:ListExecutions',
            'states:DescribeStateMachine',
          ],
          resources: machines,
        }),
        new PolicyStatement({
          actions: [
            'states:DescribeExecution',
            'states:DescribeStateMachineForExecution',
            'states:GetExecutionHistory',
            'states:StopExecution',
          ],
          resources: executions.map((parts) => stack.formatArn(parts)),
        }),
        new PolicyStatement({
          actions: ['ssm:GetParameter', 'ssm:GetParameters', 'ssm:PutParameter'],
          resources: arnsOfFlags(scope, environment, FLAG_NAMES),
        }),
      ],
    });
    const { partition, region, account } = stack;
    const place = {
      partition: shown(partition, 'Partition'),
      region: shown(region, 'Region'),
      account: shown(account, 'AccountId'),
    };
    Validations.of(this).acknowledge(
      ...executions.map((parts) => ({
        id: `AwsSolutions-IAM5[Resource::${stack.formatArn({ ...parts, ...place })}]`,
        reason: 'Executions are named when they are started.',
      })),
    );
  }
}
