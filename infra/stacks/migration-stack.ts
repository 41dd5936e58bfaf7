import type { Mapping } from '@unified-kits/domain';
import { Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { CodeLayers } from '../constructs/code-layers.ts';
import { DeploymentCalls } from '../constructs/deployment-calls.ts';
import { FlagChanges } from '../constructs/flag-changes.ts';
import { Flags } from '../constructs/flags.ts';
import { type Foundation, nameOf } from '../constructs/foundation.ts';
import { KitsFunction } from '../constructs/kits-function.ts';
import { mappingStatement } from '../constructs/queue-consumer.ts';
import { Workflow } from '../constructs/workflow.ts';
import { MIGRATION_FUNCTIONS } from '../function-table.ts';
import { WORKFLOWS } from '../workflows/load-workflow.ts';
import type { ServiceParts } from './service-stack.ts';

interface MigrationStackProps extends StackProps {
  readonly foundation: Foundation;
  readonly mapping: Mapping;
  readonly service: ServiceParts;
}

/** The function that pauses and resumes the consumer of jobs. */
const WORKERS = 'phase5-queues';

const workersVariables = ({ jobs }: ServiceParts) => ({
  JOBS_QUEUE_URL: jobs.queue.queueUrl,
  JOBS_MAPPING_ID: jobs.mappingId,
});

const letPause = (workers: KitsFunction, { jobs }: ServiceParts): void => {
  workers.addToRolePolicy(mappingStatement(jobs.consumer, ['Get', 'Update']));
  workers.addToRolePolicy(
    new PolicyStatement({
      actions: ['sqs:GetQueueAttributes'],
      resources: [jobs.queue.queueArn],
    }),
  );
};

/** What is there for as long as the migration is: its functions, the two workflows, what watches them. The flags stay. */
export class MigrationStack extends Stack {
  constructor(scope: Construct, id: string, props: MigrationStackProps) {
    const { foundation, mapping, service, ...rest } = props;
    super(scope, id, rest);
    const { settings, key } = foundation;
    const layers = new CodeLayers(this, 'Layers', mapping);
    new Flags(this, 'Flags', settings.environment, new DeploymentCalls(this, 'Calls', key));
    const ofFunctions = new Construct(this, 'Functions');
    const functions = new Map(
      MIGRATION_FUNCTIONS.map((declaration) => [
        declaration.folder,
        new KitsFunction(ofFunctions, declaration.folder, {
          declaration,
          foundation,
          layers,
          variables: declaration.folder === WORKERS ? workersVariables(service) : {},
        }),
      ]),
    );
    const functionOf = (folder: string): KitsFunction => {
      const found = functions.get(folder);
      if (found === undefined) throw new TypeError(`no function "${folder}" in the table`);
      return found;
    };
    letPause(functionOf(WORKERS), service);
    const ofWorkflows = new Construct(this, 'Workflows');
    for (const workflow of WORKFLOWS)
      new Workflow(ofWorkflows, workflow, {
        workflow,
        stateMachineName: nameOf(settings, workflow),
        key,
        functionOf,
      });
    new FlagChanges(this, 'FlagChanges', settings.environment, functionOf('flag-changed'));
  }
}
