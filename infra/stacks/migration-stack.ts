import type { Mapping } from '@unified-kits/domain';
import { Stack, type StackProps } from 'aws-cdk-lib';
import { Construct } from 'constructs';
import { CodeLayers } from '../constructs/code-layers.ts';
import { DeploymentCalls } from '../constructs/deployment-calls.ts';
import { FlagChanges } from '../constructs/flag-changes.ts';
import { Flags } from '../constructs/flags.ts';
import { type Foundation, nameOf } from '../constructs/foundation.ts';
import { KitsFunction } from '../constructs/kits-function.ts';
import { Workflow } from '../constructs/workflow.ts';
import { MIGRATION_FUNCTIONS } from '../function-table.ts';
import { WORKFLOWS } from '../workflows/load-workflow.ts';

interface MigrationStackProps extends StackProps {
  readonly foundation: Foundation;
  readonly mapping: Mapping;
}

/** What is there for as long as the migration is: its functions, the two workflows, what watches them. The flags stay. */
export class MigrationStack extends Stack {
  constructor(
    scope: Construct,
    id: string,
    { foundation, mapping, ...props }: MigrationStackProps,
  ) {
    super(scope, id, props);
    const { settings, key } = foundation;
    const layers = new CodeLayers(this, 'Layers', mapping);
    const calls = new DeploymentCalls(this, 'Calls', key);
    new Flags(this, 'Flags', settings.environment, calls);
    const ofFunctions = new Construct(this, 'Functions');
    const functions = new Map(
      MIGRATION_FUNCTIONS.map((declaration) => [
        declaration.folder,
        new KitsFunction(ofFunctions, declaration.folder, { declaration, foundation, layers }),
      ]),
    );
    const functionOf = (folder: string): KitsFunction => {
      const found = functions.get(folder);
      if (found === undefined) throw new TypeError(`no function "${folder}" in the table`);
      return found;
    };
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
