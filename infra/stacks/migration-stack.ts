import type { Mapping } from '@unified-kits/domain';
import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';
import { CodeLayers } from '../constructs/code-layers.ts';
import { KitsDashboard } from '../constructs/dashboard.ts';
import { grantSend } from '../constructs/dead-lettered-queue.ts';
import { DeploymentCalls } from '../constructs/deployment-calls.ts';
import { FlagChanges } from '../constructs/flag-changes.ts';
import { Flags } from '../constructs/flags.ts';
import { type Foundation, nameOf } from '../constructs/foundation.ts';
import { KitsFunction } from '../constructs/kits-function.ts';
import { MigrationAlarms } from '../constructs/migration-alarms.ts';
import { OperatorsPolicy } from '../constructs/operators-policy.ts';
import { mappingStatement } from '../constructs/queue-consumer.ts';
import { ReportArchive } from '../constructs/report-archive.ts';
import { Workflow } from '../constructs/workflow.ts';
import { MIGRATION_FUNCTIONS } from '../function-table.ts';
import { legacyApiVariables, type Settings } from '../settings.ts';
import { WORKFLOW_OUTPUTS, WORKFLOWS } from '../workflows/load-workflow.ts';
import type { ServiceParts } from './service-stack.ts';

interface MigrationStackProps extends StackProps {
  readonly foundation: Foundation;
  readonly mapping: Mapping;
  readonly service: ServiceParts;
}

/** The function that pauses and resumes the consumer of jobs. */
const WORKERS = 'phase5-queues';

/** What single functions are told, on top of what all are. */
const variablesOf = (
  { jobs, mappingId }: ServiceParts,
  { api }: Settings,
): Readonly<Record<string, Record<string, string>>> => ({
  [WORKERS]: {
    JOBS_QUEUE_URL: jobs.queue.queueUrl,
    JOBS_DEAD_LETTER_QUEUE_URL: jobs.deadLetters.queueUrl,
    JOBS_MAPPING_ID: mappingId,
  },
  'phase4-contract-check': legacyApiVariables(api),
});

const letPause = (workers: KitsFunction, { jobs, consumer }: ServiceParts): void => {
  workers.addToRolePolicy(mappingStatement(consumer, ['Get', 'Update']));
  workers.addToRolePolicy(
    new PolicyStatement({
      actions: ['sqs:GetQueueAttributes'],
      resources: [jobs.queue.queueArn],
    }),
  );
};

/** Lets operators list dead letters and put them back: by SQS' own task where all are meant. */
const letRedrive = (workers: KitsFunction, { jobs }: ServiceParts, key: IKey): void => {
  jobs.deadLetters.grantConsumeMessages(workers);
  grantSend(workers, jobs.queue, key);
  workers.addToRolePolicy(
    new PolicyStatement({
      actions: ['sqs:StartMessageMoveTask', 'sqs:ListMessageMoveTasks'],
      resources: [jobs.deadLetters.queueArn],
    }),
  );
};

/** What is there for as long as the migration is: its functions, the two workflows, what watches them. The flags stay. */
export class MigrationStack extends Stack {
  constructor(scope: Construct, id: string, props: MigrationStackProps) {
    const { foundation, mapping, service, ...rest } = props;
    super(scope, id, rest);
    const { settings, key, database } = foundation;
    const layers = new CodeLayers(this, 'Layers', { mapping, authorities: database.authorities });
    new Flags(this, 'Flags', settings.environment, new DeploymentCalls(this, 'Calls', key));
    const variables = variablesOf(service, settings);
    const ofFunctions = new Construct(this, 'Functions');
    const functions = new Map(
      MIGRATION_FUNCTIONS.map((declaration) => [
        declaration.folder,
        new KitsFunction(ofFunctions, declaration.folder, {
          declaration,
          foundation,
          layers,
          variables: variables[declaration.folder] ?? {},
        }),
      ]),
    );
    const functionOf = (folder: string): KitsFunction => {
      const found = functions.get(folder);
      if (found === undefined) throw new TypeError(`no function "${folder}" in the table`);
      return found;
    };
    letPause(functionOf(WORKERS), service);
    letRedrive(functionOf(WORKERS), service, key);
    const ofWorkflows = new Construct(this, 'Workflows');
    const workflows = WORKFLOWS.map(
      (workflow) =>
        new Workflow(ofWorkflows, workflow, {
          workflow,
          stateMachineName: nameOf(settings, workflow),
          key,
          functionOf,
        }),
    );
    // By these the command line finds them.
    for (const { workflow, stateMachineArn } of workflows)
      new CfnOutput(this, WORKFLOW_OUTPUTS[workflow], { value: stateMachineArn });
    new ReportArchive(this, 'Reports', { key, workflows }).keepPagesOf(functionOf('reports'));
    new OperatorsPolicy(this, 'Operators', { settings, workflows, functionOf });
    const flagChanged = functionOf('flag-changed');
    new FlagChanges(this, 'FlagChanges', settings.environment, flagChanged);
    const { all } = new MigrationAlarms(this, 'Alarms', { foundation, workflows, flagChanged });
    new KitsDashboard(this, 'Dashboard', {
      foundation,
      service,
      phases: [...functions.values()],
      alarms: [...all, ...service.alarms],
    });
  }
}
