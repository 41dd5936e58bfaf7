import type { Mapping } from '@unified-kits/domain';
import type { App } from 'aws-cdk-lib';
import { nameOf } from './constructs/foundation.ts';
import type { Settings } from './settings.ts';
import { DatabaseStack } from './stacks/database-stack.ts';
import { MigrationStack } from './stacks/migration-stack.ts';

/** An environment's stacks, by lifetime: each stands on those before it. */
export const deploy = (app: App, settings: Settings, mapping: Mapping) => {
  const { account, region } = settings;
  const env = {
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
  };
  const { foundation } = new DatabaseStack(app, nameOf(settings, 'database'), { env, settings });
  new MigrationStack(app, nameOf(settings, 'migration'), { env, foundation, mapping });
};
