import { FLAG_PARAMETERS } from '@unified-kits/domain';
import { beforeAll, describe, expect, it } from 'vitest';
import { MIGRATION_FUNCTIONS, SERVICE_FUNCTIONS } from '../../infra/function-table.ts';
import { FUNCTION_FOLDERS } from '../support/deployed.ts';
import {
  type Permission,
  permissionsOf,
  type Resource,
  resources,
  roleOf,
  type Synthesised,
  synthesise,
  textOf,
} from '../support/templates.ts';

const MIGRATION = MIGRATION_FUNCTIONS.map(({ folder }) => folder);
const SERVICE = Object.values(SERVICE_FUNCTIONS).map(({ folder }) => folder);
const ALL = [...MIGRATION, ...SERVICE];

let synthesised: Synthesised;
beforeAll(() => {
  const api = { issuer: 'https://issuer.example', audience: ['kits'], legacySunset: '2028-01-01' };
  synthesised = synthesise({ settings: { api } });
});

const templateOf = (folder: string) =>
  SERVICE.includes(folder as never) ? synthesised.service : synthesised.migration;

const functionOf = (folder: string): Resource => {
  const name = `unified-kits-dev-${folder}`;
  const found = resources(templateOf(folder), 'AWS::Lambda::Function').find(
    ([, { Properties }]) => Properties.FunctionName === name,
  );
  if (found === undefined) throw new Error(`no function is called ${name}`);
  return found[1];
};

const permissions = (folder: string): Permission[] =>
  permissionsOf(templateOf(folder), roleOf(functionOf(folder)));

const allowed = (folder: string, prefix: string): Permission[] =>
  permissions(folder).filter(
    ({ effect, action }) => effect === 'Allow' && action.startsWith(prefix),
  );

/** The flags' parameters that resources name. */
const flagsIn = (found: readonly Permission[]): string[] =>
  [
    ...new Set(
      found.flatMap(({ resource }) => resource.match(/unified-kits\/dev\/([\w-]+)"/)?.[1] ?? []),
    ),
  ].sort();
const EVERY_FLAG = Object.values(FLAG_PARAMETERS)
  .map(({ parameter }) => parameter)
  .sort();

it('deploys every function there is, and only those', () => {
  expect([...ALL].sort()).toEqual(FUNCTION_FOLDERS);
});

describe.each(ALL)('%s', (folder) => {
  it('runs on the newest Node, with all layers, traced, inside the network', () => {
    expect(functionOf(folder).Properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      Layers: [
        { Ref: expect.stringMatching(/^Layers/) },
        { Ref: expect.stringMatching(/^Layers/) },
        { Ref: expect.stringMatching(/^Layers/) },
      ],
      TracingConfig: { Mode: 'Active' },
      VpcConfig: {
        SecurityGroupIds: [{ 'Fn::ImportValue': expect.stringContaining('Clients') }],
        SubnetIds: [expect.anything(), expect.anything()],
      },
      Environment: {
        Variables: {
          KITS_ENVIRONMENT: 'dev',
          KITS_MAPPING: '/opt/mapping.json',
          NODE_OPTIONS: '--enable-source-maps',
        },
      },
    });
  });

  it('has a log of its own, encrypted, kept for three months and when its stack goes', () => {
    const { LoggingConfig } = functionOf(folder).Properties as {
      LoggingConfig: { LogGroup: { Ref: string } };
    };
    const logs = new Map(resources(templateOf(folder), 'AWS::Logs::LogGroup'));
    expect(logs.get(LoggingConfig.LogGroup.Ref)).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: {
        RetentionInDays: 90,
        KmsKeyId: { 'Fn::ImportValue': expect.stringContaining('Key') },
      },
    });
    expect(allowed(folder, 'logs:').map(({ resource }) => resource)).toEqual(
      Array(2).fill(textOf({ 'Fn::GetAtt': [LoggingConfig.LogGroup.Ref, 'Arn'] })),
    );
  });

  it('has a role that no other function has', () => {
    const roles = ALL.map((one) => `${SERVICE.includes(one as never)} ${roleOf(functionOf(one))}`);
    expect(new Set(roles).size).toBe(ALL.length);
  });

  it('reads one login: that of the migration, or that of the service', () => {
    const login = SERVICE.includes(folder as never) ? 'ServiceLogin' : 'MasterUserSecret';
    const secrets = allowed(folder, 'secretsmanager:');
    expect(secrets.map(({ action }) => action).sort()).toEqual([
      'secretsmanager:DescribeSecret',
      'secretsmanager:GetSecretValue',
    ]);
    for (const { resource } of secrets) expect(resource).toContain(login);
    expect(textOf(functionOf(folder).Properties.Environment)).toContain(login);
    expect(allowed(folder, 'kms:Decrypt')).toHaveLength(1);
  });

  it('may do on anything only what has nothing to name, and that not by its own code', () => {
    // A prefix in a bucket of the stack's own names something.
    const wide = permissions(folder).filter(({ resource }) =>
      resource.replace('/reports/*', '').includes('*'),
    );
    const unconditional = wide.filter(
      ({ effect, condition }) => effect === 'Allow' && condition === undefined,
    );
    const denied = wide.filter(({ effect }) => effect === 'Deny').map(({ action }) => action);
    for (const { action } of unconditional)
      if (action.startsWith('ec2:')) expect(denied).toContain(action);
      else expect(action).toMatch(/^xray:Put/);
    for (const { condition } of wide.filter(({ effect }) => effect === 'Deny'))
      expect(textOf(condition)).toContain(`:function:unified-kits-dev-${folder}`);
  });
});

describe('what a function may do of its own', () => {
  /** Beside its place in the network, its log, its traces and its login. */
  const COMMON = /^(ec2|logs|xray|secretsmanager):|^kms:Decrypt$/;
  const READS = ['ssm:GetParameter', 'ssm:GetParameters'];

  it.each<[string, readonly string[]]>([
    ['operations', READS],
    ['phase0-analysis', READS],
    ['phase1-schema', [...READS, 'ssm:PutParameter']],
    ['phase2-migration', [...READS, 'ssm:PutParameter']],
    ['phase3-services', [...READS, 'ssm:PutParameter']],
    ['phase4-api', READS],
    ['phase4-contract-check', READS],
    [
      'phase5-jobs',
      [
        'kms:GenerateDataKey',
        'sqs:ChangeMessageVisibility',
        'sqs:DeleteMessage',
        'sqs:GetQueueAttributes',
        'sqs:GetQueueUrl',
        'sqs:ReceiveMessage',
        'sqs:SendMessage',
        ...READS,
      ],
    ],
    [
      'phase5-queues',
      [
        'kms:GenerateDataKey',
        'lambda:GetEventSourceMapping',
        'lambda:UpdateEventSourceMapping',
        'sqs:ChangeMessageVisibility',
        'sqs:DeleteMessage',
        'sqs:GetQueueAttributes',
        'sqs:GetQueueUrl',
        'sqs:ListMessageMoveTasks',
        'sqs:ReceiveMessage',
        'sqs:SendMessage',
        'sqs:StartMessageMoveTask',
        ...READS,
      ],
    ],
    ['phase5-relay', ['kms:GenerateDataKey', 'sqs:SendMessage']],
    ['phase6-validation', READS],
    ['phase7-cleanup', READS],
    ['rollback', [...READS, 'ssm:PutParameter']],
    ['flag-changed', [...READS, 'ssm:PutParameter']],
    ['reports', ['kms:GenerateDataKey', 's3:PutObject']],
  ])('%s: %j', (folder, expected) => {
    const actions = permissions(folder)
      .filter(({ effect, action }) => effect === 'Allow' && !COMMON.test(action))
      .map(({ action }) => action);
    expect([...new Set(actions)].sort()).toEqual([...expected].sort());
  });

  it.each<[string, readonly string[]]>([
    [
      'phase2-migration',
      ['MIGRATION_IN_PROGRESS', 'dual-write', 'unified-reads', 'unified-writes'],
    ],
    ['phase3-services', ['MIGRATION_IN_PROGRESS', 'dual-write', 'unified-reads', 'unified-writes']],
    ['rollback', ['MIGRATION_IN_PROGRESS', 'dual-write', 'unified-reads', 'unified-writes']],
    ['flag-changed', ['dual-write', 'unified-reads', 'unified-writes']],
  ])('%s sets %j and no other flag', (folder, expected) => {
    const writes = allowed(folder, 'ssm:PutParameter');
    expect(writes).toHaveLength(expected.length);
    expect(flagsIn(writes)).toEqual(expected);
  });

  it('phase 1 creates flags and overwrites none', () => {
    expect(flagsIn(allowed('phase1-schema', 'ssm:PutParameter'))).toEqual(EVERY_FLAG);
    const denied = permissions('phase1-schema').filter(
      ({ effect, action }) => effect === 'Deny' && action === 'ssm:PutParameter',
    );
    expect(flagsIn(denied)).toEqual(EVERY_FLAG);
    for (const { condition } of denied)
      expect(condition).toEqual({ StringEquals: { 'ssm:Overwrite': 'true' } });
  });

  it('whoever reads flags reads those of this environment', () => {
    expect(flagsIn(allowed('phase4-api', 'ssm:GetParameters'))).toEqual(EVERY_FLAG);
  });

  it('the workers are paused and resumed through one function’s mapping', () => {
    for (const { condition } of allowed('phase5-queues', 'lambda:'))
      expect(textOf(condition)).toMatch(/lambda:FunctionArn.*phase5jobs/);
    expect(functionOf('phase5-queues').Properties).toMatchObject({
      Environment: {
        Variables: {
          JOBS_QUEUE_URL: { 'Fn::ImportValue': expect.stringContaining('JobsQueue') },
          JOBS_DEAD_LETTER_QUEUE_URL: {
            'Fn::ImportValue': expect.stringContaining('JobsDeadLetters'),
          },
          JOBS_MAPPING_ID: { 'Fn::ImportValue': expect.stringContaining('JobsConsumerMapping') },
        },
      },
    });
  });

  it('dead letters are looked at where they are, and put back on the queue of jobs, by SQS’ own task too', () => {
    const of = (queue: RegExp) =>
      allowed('phase5-queues', 'sqs:')
        .filter(({ resource: one }) => queue.test(one))
        .map(({ action }) => action.replace('sqs:', ''))
        .sort();
    expect(of(/JobsQueue/)).toEqual(['GetQueueAttributes', 'SendMessage']);
    expect(of(/JobsDeadLetters/)).toEqual([
      'ChangeMessageVisibility',
      'DeleteMessage',
      'GetQueueAttributes',
      'GetQueueUrl',
      'ListMessageMoveTasks',
      'ReceiveMessage',
      'StartMessageMoveTask',
    ]);
    expect(of(/./)).toHaveLength(9);
    // Both queues are encrypted with the environment's key, which the login's secret is read with as well.
    for (const action of ['kms:Decrypt', 'kms:GenerateDataKey'])
      expect(allowed('phase5-queues', action)).toEqual([
        expect.objectContaining({ resource: expect.stringMatching(/ImportValue.*Key/) }),
      ]);
  });

  it('jobs are sent to the queue they came from and to its dead letters, events to theirs', () => {
    const sentTo = (folder: string) =>
      allowed(folder, 'sqs:SendMessage')
        .map(({ resource }) => resource.match(/(Jobs|Events)(Queue|DeadLetters)/)?.[0])
        .sort();
    expect(sentTo('phase5-jobs')).toEqual(['JobsDeadLetters', 'JobsQueue']);
    // What an operator redrives.
    expect(sentTo('phase5-queues')).toEqual(['JobsQueue']);
    expect(sentTo('phase5-relay')).toEqual(['EventsQueue']);
  });

  it('reports are put beside the archive of executions, under a prefix of their own', () => {
    const [put] = allowed('reports', 's3:');
    expect(put?.resource).toMatch(/ReportsBucket.*\/reports\/\*/);
    expect(functionOf('reports').Properties).toMatchObject({
      Environment: {
        Variables: { REPORT_BUCKET: { Ref: expect.stringMatching(/^ReportsBucket/) } },
      },
    });
  });

  it('the API and its check announce the same end of the legacy routes', () => {
    for (const folder of ['phase4-api', 'phase4-contract-check'])
      expect(functionOf(folder).Properties).toMatchObject({
        Environment: { Variables: { KITS_LEGACY_API_SUNSET: '2028-01-01' } },
      });
  });

  it('no API function waits longer than API Gateway does', () => {
    expect(Number(functionOf('phase4-api').Properties.Timeout)).toBeLessThan(30);
  });
});
