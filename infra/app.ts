import { loadMapping } from '@unified-kits/data';
import { MappingInvalid } from '@unified-kits/domain';
import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { deploy } from './deploy.ts';
import { readSettings, SETTINGS_KEY, SettingsInvalid } from './settings.ts';

const app = new App();
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
try {
  const settings = readSettings(
    app.node.tryGetContext(SETTINGS_KEY),
    app.node.tryGetContext('environment'),
  );
  deploy(app, settings, await loadMapping(settings.mapping ?? ''));
  app.synth();
} catch (error) {
  // What whoever deploys has to correct, without where in the code it was found.
  if (!(error instanceof SettingsInvalid) && !(error instanceof MappingInvalid)) throw error;
  console.error(`${error.name}: ${error.message}`);
  process.exitCode = 1;
}
