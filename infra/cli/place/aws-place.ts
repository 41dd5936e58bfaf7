import { WORKFLOW_OUTPUTS, type Workflow } from '../../workflows/load-workflow.ts';
import { NoSystem } from '../errors.ts';
import type { Place } from './place.ts';

const stackOf = (environment: string): string => `unified-kits-${environment}-migration`;

const readOutputs = async (stack: string): Promise<ReadonlyMap<string, string>> => {
  const { CloudFormationClient, DescribeStacksCommand } = await import(
    '@aws-sdk/client-cloudformation'
  );
  const client = new CloudFormationClient({ maxAttempts: 2 });
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName: stack }));
    const outputs = Stacks[0]?.Outputs ?? [];
    return new Map(outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]));
  } catch (error) {
    const why = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new NoSystem(
      `stack ${stack} cannot be read (${why}). Check the environment's name, AWS_REGION and your AWS credentials; a local system is started by: npm start -- serve`,
      { cause: error },
    );
  } finally {
    client.destroy();
  }
};

/**
 * The deployed system of an environment, by the outputs of its stack.
 *
 * @throws {NoSystem} when AWS does not answer, or the stack has no such outputs.
 */
export const findAws = async (environment: string): Promise<Place> => {
  const stack = stackOf(environment);
  const outputs = await readOutputs(stack);
  const arnOf = (workflow: Workflow): string => {
    const arn = outputs.get(WORKFLOW_OUTPUTS[workflow]);
    if (arn === undefined)
      throw new NoSystem(
        `stack ${stack} has no output ${WORKFLOW_OUTPUTS[workflow]}: deploy this version of it`,
      );
    return arn;
  };
  const cutover = arnOf('cutover');
  const [, , , region = '', account = ''] = cutover.split(':');
  return {
    kind: 'aws',
    environment,
    description: `environment "${environment}" of AWS account ${account}, ${region}`,
    client: { region },
    stateMachineArns: { cutover, rollback: arnOf('rollback') },
  };
};
