import { AwsSolutionsChecks } from 'cdk-nag';
import { expect, it } from 'vitest';
import { synthesise } from '../support/templates.ts';

const NEW = { kind: 'new', proxy: true };
const EXISTING = {
  kind: 'existing',
  host: 'clinic.abc.eu-central-1.rds.amazonaws.com',
  databaseName: 'clinic',
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: ['subnet-0123456789abcdef0'],
  securityGroupId: 'sg-0123456789abcdef0',
  migrationSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:migration-AbCdEf',
  serviceSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:service-AbCdEf',
};
const api = { issuer: 'https://issuer.example', audience: ['kits'] };

it.each([
  ['a new database, with all there may be', { database: NEW, api }],
  ['a new database in one zone', { database: { ...NEW, multiAz: false }, endpointZones: 1 }],
  [
    'an existing database, in an account and region that are named',
    { database: EXISTING, api, account: '123456789012', region: 'eu-central-1' },
  ],
])('passes the checks of AwsSolutions with %s', (_what, settings) => {
  const { app } = synthesise({ settings });
  const { violations } = new AwsSolutionsChecks(app).validateScope(app);
  expect(
    violations.map(({ ruleName, violatingResources }) => [
      ruleName,
      violatingResources.map((one) => ('constructPath' in one ? one.constructPath : one)),
    ]),
  ).toEqual([]);
});
