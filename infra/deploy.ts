import type { Mapping } from '@unified-kits/domain';
import type { App } from 'aws-cdk-lib';
import { nameOf } from './constructs/foundation.ts';
import type { Settings } from './settings.ts';
import { DatabaseStack } from './stacks/database-stack.ts';
import { MigrationStack } from './stacks/migration-stack.ts';
import { ServiceStack } from './stacks/service-stack.ts';

/** An environment's stacks, by lifetime: each stands on those before it. */
export const deploy = (app: App, settings: Settings, mapping: Mapping) => {
  const { account, region } = settings;
  const env = {
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
  };
  const { foundation } = new DatabaseStack(app, nameOf(settings, 'database'), { env, settings });
  const { parts } = new ServiceStack(app, nameOf(settings, 'service'), {
    env,
    foundation,
    mapping,
  });
  new MigrationStack(app, nameOf(settings, 'migration'), {
    env,
    foundation,
    mapping,
    service: parts,
  });
};
