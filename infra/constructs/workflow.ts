import { fileURLToPath } from 'node:url';
import { type CfnElement, Stack, Validations } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import {
  DefinitionBody,
  LogLevel,
  StateMachine,
  StateMachineType,
} from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import {
  FUNCTION_PLACEHOLDERS,
  readWorkflow,
  type WorkflowFunction,
  type Workflow as WorkflowName,
  workflowFile,
} from '../workflows/load-workflow.ts';
import { KeptLogGroup } from './kept-log-group.ts';

export interface WorkflowProps {
  readonly workflow: WorkflowName;
  readonly stateMachineName: string;
  readonly key: IKey;
  readonly functionOf: (name: WorkflowFunction) => LambdaFunction;
}

/** The functions that a definition calls, each with its placeholder. */
const calledBy = (workflow: WorkflowName): [WorkflowFunction, string][] => {
  const text = readWorkflow(workflow);
  return Object.entries(FUNCTION_PLACEHOLDERS).filter(([, placeholder]) =>
    text.includes(`\${${placeholder}}`),
  ) as [WorkflowFunction, string][];
};

/**
 * One workflow: a Standard state machine made of its ASL file.
 *
 * The definition names published versions of its functions, so both change together: Step Functions keeps an
 * execution under way on the definition that it began with, and versions are kept, so that it goes on with
 * the code that it began with. It may call every version of its functions, for the same reason.
 */
export class Workflow extends StateMachine {
  readonly workflow: WorkflowName;

  constructor(scope: Construct, id: string, props: WorkflowProps) {
    const { workflow, stateMachineName, key, functionOf } = props;
    const called = calledBy(workflow).map(
      ([name, placeholder]) => [placeholder, functionOf(name)] as const,
    );
    super(scope, id, {
      stateMachineName,
      stateMachineType: StateMachineType.STANDARD,
      definitionBody: DefinitionBody.fromFile(fileURLToPath(workflowFile(workflow))),
      definitionSubstitutions: Object.fromEntries(
        called.map(([placeholder, { currentVersion }]) => [
          placeholder,
          currentVersion.functionArn,
        ]),
      ),
      tracingEnabled: true,
      logs: {
        destination: new KeptLogGroup(scope, `${id}Log`, key, RetentionDays.ONE_YEAR),
        level: LogLevel.ALL,
        // Ids and counters only, but a year of them is nobody's business.
        includeExecutionData: false,
      },
    });
    this.addToRolePolicy(
      new PolicyStatement({
        actions: ['lambda:InvokeFunction'],
        resources: called.map(([, { functionArn }]) => `${functionArn}:*`),
      }),
    );
    this.workflow = workflow;
    Validations.of(this).acknowledge(
      {
        id: 'AwsSolutions-IAM5[Resource::*]',
        reason: 'The delivery of logs and traces has no resources that could be named.',
      },
      ...called.map(([, { node }]) => ({
        id: `AwsSolutions-IAM5[Resource::<${Stack.of(this).getLogicalId(node.defaultChild as CfnElement)}.Arn>:*]`,
        reason: 'Every published version of the function: executions under way call those of old.',
      })),
    );
  }
}
