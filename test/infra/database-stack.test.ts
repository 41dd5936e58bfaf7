import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { referenceMapping } from '@unified-kits/domain';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUTHORITIES_FILE, MAPPING_FILE, writeOwnFiles } from '../../infra/code/assets.ts';
import { resource, resources, type Synthesised, synthesise, textOf } from '../support/templates.ts';

let dev: Synthesised;
let prod: Synthesised;
beforeAll(() => {
  dev = synthesise({
    settings: { database: { kind: 'new', multiAz: false, backupDays: 3 }, endpointZones: 1 },
  });
  prod = synthesise({
    settings: { database: { kind: 'new', proxy: true }, alarmEmail: 'a@b.example' },
  });
});

const instance = ({ database }: Synthesised) => resource(database, 'AWS::RDS::DBInstance');
const key = () => ({ 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] });

describe('a new database', () => {
  it('runs Postgres 17 or later, and takes minor versions by itself', () => {
    const { Engine, EngineVersion, AutoMinorVersionUpgrade } = instance(dev).Properties;
    expect(Engine).toBe('postgres');
    expect(Number(EngineVersion)).toBeGreaterThanOrEqual(17);
    expect(AutoMinorVersionUpgrade).toBe(true);
  });

  it('is encrypted with the environment’s key, insights included, and reached from inside alone', () => {
    expect(instance(dev).Properties).toMatchObject({
      StorageEncrypted: true,
      KmsKeyId: key(),
      PerformanceInsightsKMSKeyId: key(),
      PubliclyAccessible: false,
    });
  });

  it('speaks TLS only, and keeps kit numbers out of its log', () => {
    expect(resource(dev.database, 'AWS::RDS::DBParameterGroup').Properties).toMatchObject({
      Parameters: {
        'rds.force_ssl': '1',
        log_error_verbosity: 'terse',
        log_min_error_statement: 'panic',
      },
    });
  });

  it('is backed up, protected from deletion, and stays with its backups when its stack goes', () => {
    for (const { environment, days } of [
      { environment: dev, days: 3 },
      { environment: prod, days: 14 },
    ]) {
      expect(instance(environment)).toMatchObject({
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
        Properties: {
          BackupRetentionPeriod: days,
          DeletionProtection: true,
          DeleteAutomatedBackups: false,
        },
      });
      expect(environment.stacks.database.terminationProtection).toBe(true);
    }
  });

  it('survives the loss of a zone unless the settings say otherwise', () => {
    expect(instance(prod).Properties).toMatchObject({ MultiAZ: true });
    expect(instance(dev).Properties).toMatchObject({ MultiAZ: false });
  });

  it('has its first password from RDS, and that of the service rotated by the month', () => {
    expect(instance(dev).Properties).toMatchObject({
      ManageMasterUserPassword: true,
      MasterUserSecret: { KmsKeyId: key() },
    });
    expect(textOf(instance(dev).Properties)).not.toContain('MasterUserPassword":"');
    expect(resource(dev.database, 'AWS::SecretsManager::Secret')).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: {
        KmsKeyId: key(),
        GenerateSecretString: { SecretStringTemplate: expect.stringContaining('kits_service') },
      },
    });
    expect(
      resource(dev.database, 'AWS::SecretsManager::RotationSchedule').Properties,
    ).toMatchObject({
      RotationRules: { ScheduleExpression: 'rate(30 days)' },
      RotateImmediatelyOnUpdate: false,
      HostedRotationLambda: { RotationType: 'PostgreSQLSingleUser' },
    });
  });

  it('may have a proxy for the service, which speaks TLS only; the migration connects directly', () => {
    expect(resource(prod.database, 'AWS::RDS::DBProxy').Properties).toMatchObject({
      RequireTLS: true,
    });
    dev.database.resourceCountIs('AWS::RDS::DBProxy', 0);
    const { logins } = prod.stacks.database.foundation.database;
    const url = (login: 'migration' | 'service') =>
      textOf(prod.stacks.database.resolve(logins[login].url));
    expect(url('service')).toContain('DatabaseProxy');
    expect(url('migration')).toContain('DatabaseInstance');
  });
});

describe('the network', () => {
  it('has no way out and no way in', () => {
    for (const type of ['NatGateway', 'InternetGateway', 'EgressOnlyInternetGateway'])
      dev.database.resourceCountIs(`AWS::EC2::${type}`, 0);
    for (const [, { Properties }] of resources(dev.database, 'AWS::EC2::Subnet'))
      expect(Properties).toMatchObject({ MapPublicIpOnLaunch: false });
  });

  it('lets functions alone to the database and to AWS, and functions to nothing else', () => {
    const clients = { 'Fn::GetAtt': [expect.stringMatching(/^Clients/), 'GroupId'] };
    const rules = (kind: string) =>
      resources(dev.database, `AWS::EC2::SecurityGroup${kind}`).map(
        ([, { Properties }]) => Properties,
      );
    const ports = (kind: string) => rules(kind).map(({ ToPort }) => ToPort);
    expect(ports('Ingress').sort()).toEqual([443, 5432]);
    for (const rule of rules('Ingress')) expect(rule.SourceSecurityGroupId).toEqual(clients);
    expect(ports('Egress').sort()).toEqual([443, 443, 5432]);
    for (const { DestinationSecurityGroupId, DestinationPrefixListId } of rules('Egress'))
      expect(DestinationSecurityGroupId ?? DestinationPrefixListId).toEqual({
        'Fn::GetAtt': [expect.any(String), expect.stringMatching(/^(GroupId|PrefixLists.0.*)$/)],
      });
    for (const rule of rules('Egress')) expect(rule.GroupId).toEqual(clients);
    for (const [id, { Properties }] of resources(dev.database, 'AWS::EC2::SecurityGroup')) {
      expect(Properties.SecurityGroupIngress, id).toBeUndefined();
      expect(textOf(Properties.SecurityGroupEgress ?? ''), id).not.toContain('0.0.0.0/0');
    }
  });

  it('has the endpoints that the functions call, in as many zones as asked for', () => {
    const endpoints = (environment: Synthesised) =>
      resources(environment.database, 'AWS::EC2::VPCEndpoint')
        .filter(([, { Properties }]) => Properties.VpcEndpointType === 'Interface')
        .map(([, { Properties }]) => ({
          service: textOf(Properties.ServiceName).match(/\.(\w+)"/)?.[1],
          zones: (Properties.SubnetIds as unknown[]).length,
        }));
    const expected = (zones: number) =>
      ['lambda', 'secretsmanager', 'sqs', 'ssm'].map((service) => ({
        service,
        zones,
      }));
    const sorted = (environment: Synthesised) =>
      endpoints(environment).sort((a, b) => (String(a.service) < String(b.service) ? -1 : 1));
    expect(sorted(dev)).toEqual(expected(1));
    expect(sorted(prod)).toEqual(expected(2));
  });

  it('has a way to S3 that costs nothing and leads to buckets of this account, to write', () => {
    const gateway = resource(dev.database, 'AWS::EC2::VPCEndpoint', /^Buckets/).Properties;
    expect(gateway).toMatchObject({ VpcEndpointType: 'Gateway' });
    expect(textOf(gateway.ServiceName)).toContain('.s3"');
    expect(gateway.RouteTableIds).toHaveLength(resources(dev.database, 'AWS::EC2::Subnet').length);
    expect(gateway.PolicyDocument).toMatchObject({
      Statement: [
        {
          Effect: 'Allow',
          Action: 's3:PutObject',
          Condition: { StringEquals: { 'aws:ResourceAccount': { Ref: 'AWS::AccountId' } } },
        },
      ],
    });
  });

  it('notes what it refuses', () => {
    expect(resource(dev.database, 'AWS::EC2::FlowLog').Properties).toMatchObject({
      TrafficType: 'REJECT',
    });
  });
});

describe('the key', () => {
  it('is rotated, and stays when its stack goes', () => {
    expect(resource(dev.database, 'AWS::KMS::Key')).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: { EnableKeyRotation: true },
    });
  });

  it('is for this account, and for its logs and alarms', () => {
    const { Statement } = resource(dev.database, 'AWS::KMS::Key').Properties.KeyPolicy as {
      Statement: { Principal: object; Condition?: object }[];
    };
    const services = Statement.filter(({ Principal }) => 'Service' in Principal);
    expect(services.map(({ Principal }) => textOf(Principal))).toEqual([
      expect.stringContaining('logs.'),
      expect.stringContaining('cloudwatch.amazonaws.com'),
    ]);
    for (const { Condition } of services) expect(textOf(Condition)).toContain('AWS::AccountId');
    for (const { Principal } of Statement)
      if (!('Service' in Principal)) expect(textOf(Principal)).toContain(':root');
  });
});

describe('the topic of the alarms', () => {
  it('is encrypted, hears CloudWatch, and tells who is named', () => {
    expect(resource(prod.database, 'AWS::SNS::Topic').Properties).toMatchObject({
      KmsMasterKeyId: key(),
    });
    const policy = textOf(resource(prod.database, 'AWS::SNS::TopicPolicy').Properties);
    expect(policy).toContain(
      '"Action":"sns:Publish","Condition":{"StringEquals":{"aws:SourceAccount"',
    );
    expect(resource(prod.database, 'AWS::SNS::Subscription').Properties).toMatchObject({
      Protocol: 'email',
      Endpoint: 'a@b.example',
    });
    dev.database.resourceCountIs('AWS::SNS::Subscription', 0);
  });
});

describe('an existing database', () => {
  const migrationSecretArn =
    'arn:aws:secretsmanager:eu-central-1:123456789012:secret:migration-AbCdEf';
  const serviceSecretArn = 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:service-AbCdEf';
  const SUBNETS = ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'];
  const secretKeyArn =
    'arn:aws:kms:eu-central-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef';
  const settings = {
    database: {
      kind: 'existing',
      host: 'clinic.abc.eu-central-1.rds.amazonaws.com',
      port: 6543,
      databaseName: 'clinic',
      serviceHost: 'proxy.abc.eu-central-1.rds.amazonaws.com',
      vpcId: 'vpc-0123456789abcdef0',
      subnetIds: SUBNETS,
      securityGroupId: 'sg-0123456789abcdef0',
      migrationSecretArn,
      serviceSecretArn,
      secretKeyArn,
    },
  };
  let existing: Synthesised;
  beforeAll(() => {
    existing = synthesise({ settings });
  });

  it('is left as it is, but for letting the functions in', () => {
    for (const type of ['AWS::RDS::DBInstance', 'AWS::EC2::VPC', 'AWS::EC2::Subnet'])
      existing.database.resourceCountIs(type, 0);
    expect(
      resource(existing.database, 'AWS::EC2::SecurityGroupIngress', /^Groupfrom/).Properties,
    ).toMatchObject({
      GroupId: 'sg-0123456789abcdef0',
      FromPort: 6543,
      ToPort: 6543,
      IpProtocol: 'tcp',
    });
  });

  it('is where the functions connect, each with its own secret and its key', () => {
    const [migration, service] = [
      resource(existing.migration, 'AWS::Lambda::Function', /phase0analysis/),
      resource(existing.service, 'AWS::Lambda::Function', /phase5jobs/),
    ].map(({ Properties }) => Properties);
    expect(migration).toMatchObject({
      VpcConfig: { SubnetIds: SUBNETS },
      Environment: {
        Variables: {
          DATABASE_URL: 'postgres://clinic.abc.eu-central-1.rds.amazonaws.com:6543/clinic',
          DATABASE_SECRET_ID: migrationSecretArn,
        },
      },
    });
    expect(service).toMatchObject({
      Environment: {
        Variables: {
          DATABASE_URL: 'postgres://proxy.abc.eu-central-1.rds.amazonaws.com:6543/clinic',
          DATABASE_SECRET_ID: serviceSecretArn,
        },
      },
    });
    expect(textOf(resources(existing.migration, 'AWS::IAM::Policy'))).toContain(secretKeyArn);
  });

  it('may have a certificate of other authorities, which every function then trusts as well', () => {
    const caFile = 'test/fixtures/tls/ca.pem';
    const own = synthesise({ settings: { database: { ...settings.database, caFile } } });
    const functions = [own.service, own.migration].flatMap((template) =>
      resources(template, 'AWS::Lambda::Function').filter(([id]) => id.startsWith('Functions')),
    );
    expect(functions.length).toBeGreaterThan(10);
    for (const [id, { Properties }] of functions)
      expect(Properties.Environment, id).toMatchObject({
        Variables: { NODE_EXTRA_CA_CERTS: AUTHORITIES_FILE },
      });
    expect(textOf(resources(existing.migration, 'AWS::Lambda::Function'))).not.toContain(
      'EXTRA_CA',
    );

    const directory = mkdtempSync(join(tmpdir(), 'unified-kits-own-'));
    const { authorities } = own.stacks.database.foundation.database;
    writeOwnFiles({ mapping: referenceMapping, authorities }, directory);
    const inLayer = (file: string) => readFileSync(file.replace('/opt', directory), 'utf8');
    expect(inLayer(AUTHORITIES_FILE)).toBe(readFileSync(caFile, 'utf8'));
    expect(JSON.parse(inLayer(MAPPING_FILE))).toEqual(referenceMapping);
    rmSync(directory, { recursive: true });
  });

  it.each([
    ['nowhere.pem', /caFile: nowhere\.pem has to be a PEM file.*ENOENT/],
    ['test/fixtures/tls/server.key', /there is no certificate in it/],
  ])('is refused with %s for its authorities', (caFile, message) => {
    expect(() => synthesise({ settings: { database: { ...settings.database, caFile } } })).toThrow(
      message,
    );
  });

  it('has endpoints made beside it only when asked for', () => {
    existing.database.resourceCountIs('AWS::EC2::VPCEndpoint', 4);
    const routed = synthesise({
      settings: { database: { ...settings.database, routeTableIds: ['rtb-0123456789abcdef0'] } },
    });
    expect(resource(routed.database, 'AWS::EC2::VPCEndpoint', /^Buckets/).Properties).toMatchObject(
      { VpcId: settings.database.vpcId, RouteTableIds: ['rtb-0123456789abcdef0'] },
    );
    for (const { database } of [existing, routed])
      expect(resource(database, 'AWS::EC2::SecurityGroupEgress', /Prefix|Indirect/i)).toBeDefined();
    const without = synthesise({
      settings: { database: { ...settings.database, endpoints: false } },
    });
    without.database.resourceCountIs('AWS::EC2::VPCEndpoint', 0);
    // Then functions reach AWS by whatever way out there is: over TLS, to addresses that nobody can list.
    expect(
      resource(without.database, 'AWS::EC2::SecurityGroup', /^Clients/).Properties,
    ).toMatchObject({
      SecurityGroupEgress: [{ CidrIp: '0.0.0.0/0', FromPort: 443, ToPort: 443, IpProtocol: 'tcp' }],
    });
  });
});
