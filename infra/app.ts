import { App } from 'aws-cdk-lib';
import { MigrationStack } from './migration-stack.ts';

const app = new App();
new MigrationStack(app, 'UnifiedKitsMigration', {
  environment: app.node.tryGetContext('environment') ?? 'dev',
});
app.synth();
