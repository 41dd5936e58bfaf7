import { loadMapping } from '@unified-kits/data';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { deploy } from './deploy.ts';
import { readSettings, SETTINGS_KEY } from './settings.ts';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
const settings = readSettings(
  app.node.tryGetContext(SETTINGS_KEY),
  app.node.tryGetContext('environment'),
);
deploy(app, settings, await loadMapping(settings.mapping ?? ''));
app.synth();
