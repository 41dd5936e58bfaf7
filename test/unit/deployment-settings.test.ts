import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readSettings, SETTINGS_KEY } from '../../infra/settings.ts';

const existing = {
  kind: 'existing',
  host: 'kits.abc123.eu-central-1.rds.amazonaws.com',
  databaseName: 'clinic',
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: ['subnet-0123456789abcdef0'],
  securityGroupId: 'sg-0123456789abcdef0',
  migrationSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:migration-AbCdEf',
  serviceSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:service-AbCdEf',
};

describe('the settings of a deployment', () => {
  it('are complete without a word: a new database, in the environment dev', () => {
    expect(readSettings({ dev: {} })).toMatchObject({
      environment: 'dev',
      database: { kind: 'new', multiAz: true, backupDays: 14 },
      runbookUrl: 'RUNBOOK.md',
    });
  });

  it('name an existing database by where it is and who may log in', () => {
    const settings = readSettings({ prod: { database: existing } }, 'prod');
    expect(settings.database).toMatchObject({ ...existing, port: 5432, endpoints: true });
  });

  it('may come from the command line as text', () => {
    expect(readSettings('{"dev": {"database": {"kind": "new", "proxy": true}}}')).toMatchObject({
      database: { proxy: true },
    });
    expect(() => readSettings('{dev}')).toThrow(/is not JSON/);
  });

  it('are refused for an environment that is not there, naming those that are', () => {
    expect(() => readSettings({ dev: {}, prod: {} }, 'production')).toThrow(
      /no environment "production".*it has dev, prod/,
    );
    expect(() => readSettings(undefined)).toThrow(/must name environments/);
    expect(() => readSettings({ 'Dev Box': {} }, 'Dev Box')).toThrow(/must name environments/);
    expect(() => readSettings({ dev: {} }, 'toString')).toThrow(/no environment/);
  });

  it('are refused with every fault at once, by its place', () => {
    const faulty = {
      dev: {
        account: '123',
        database: { ...existing, vpcId: 'my-vpc', subnetIds: [], port: 0 },
        api: { issuer: 'http://insecure.example', audience: [] },
        regoin: 'eu-central-1',
      },
    };
    expect(() => readSettings(faulty)).toThrow(
      expect.objectContaining({
        name: 'SettingsInvalid',
        message: expect.stringMatching(
          /account.*database\.vpcId.*database\.subnetIds.*api\.issuer.*api\.audience/s,
        ),
      }),
    );
    expect(() => readSettings(faulty)).toThrow(/regoin/);
  });

  it('are refused where AWS would refuse them in the middle of a deployment', () => {
    const database = (given: object) => () => readSettings({ dev: { database: given } });
    expect(database({ kind: 'new', storageGib: 200, mostStorageGib: 210 })).toThrow(
      /a tenth more than storageGib.*\n.*database\.mostStorageGib/,
    );
    expect(database({ kind: 'new', storageGib: 200, mostStorageGib: 220 })).not.toThrow();
    const twice = Array(2).fill('subnet-0123456789abcdef0');
    expect(database({ ...existing, subnetIds: twice })).toThrow(
      /each subnet once.*\n.*database\.subnetIds/,
    );
  });

  it('in cdk.json are valid for dev and prod, and prod survives the loss of a zone', () => {
    const { context } = JSON.parse(readFileSync('cdk.json', 'utf8'));
    const [dev, prod] = ['dev', 'prod'].map((name) => readSettings(context[SETTINGS_KEY], name));
    expect(dev?.environment).toBe('dev');
    expect(prod).toMatchObject({ endpointZones: 2, database: { multiAz: true } });
  });
});
