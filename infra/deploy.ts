import type { Mapping } from '@unified-kits/domain';
import type { App } from 'aws-cdk-lib';
import { nameOf } from './constructs/foundation.ts';
import type { Settings } from './settings.ts';
import { DatabaseStack } from './stacks/database-stack.ts';
import { MigrationStack } from './stacks/migration-stack.ts';
import { ServiceStack } from './stacks/service-stack.ts';

/** An environment's stacks, by lifetime. */
export interface Deployment {
  readonly database: DatabaseStack;
  readonly service: ServiceStack;
  readonly migration: MigrationStack;
}

/** Makes an environment's stacks: each stands on those before it. */
export const deploy = (app: App, settings: Settings, mapping: Mapping): Deployment => {
  const { account, region } = settings;
  const env = {
    ...(account === undefined ? {} : { account }),
    ...(region === undefined ? {} : { region }),
  };
  const database = new DatabaseStack(app, nameOf(settings, 'database'), { env, settings });
  const { foundation } = database;
  const service = new ServiceStack(app, nameOf(settings, 'service'), { env, foundation, mapping });
  const migration = new MigrationStack(app, nameOf(settings, 'migration'), {
    env,
    foundation,
    mapping,
    service: service.parts,
  });
  return { database, service, migration };
};
