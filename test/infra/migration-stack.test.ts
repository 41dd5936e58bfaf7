import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FLAG_PARAMETERS, type Mapping, referenceMapping } from '@unified-kits/domain';
import { App, Stack } from 'aws-cdk-lib';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { CodeLayers } from '../../infra/constructs/code-layers.ts';
import { flagPrefix } from '../../infra/constructs/flags.ts';
import { KitsFunction } from '../../infra/constructs/kits-function.ts';
import { MIGRATION_FUNCTIONS } from '../../infra/function-table.ts';
import { readSettings } from '../../infra/settings.ts';
import { DatabaseStack } from '../../infra/stacks/database-stack.ts';
import {
  readWorkflow,
  WORKFLOW_OUTPUTS,
  WORKFLOWS,
  type Workflow,
} from '../../infra/workflows/load-workflow.ts';
import {
  CONTEXT,
  permissionsOf,
  type Resource,
  resource,
  resources,
  roleOf,
  type Synthesised,
  synthesise,
  textOf,
} from '../support/templates.ts';

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise();
});

const machineOf = (workflow: Workflow): Resource =>
  resource(synthesised.migration, 'AWS::StepFunctions::StateMachine', new RegExp(workflow));

const substitutionsOf = (workflow: Workflow): Record<string, { Ref: string }> =>
  z
    .record(z.string(), z.object({ Ref: z.string() }))
    .parse(machineOf(workflow).Properties.DefinitionSubstitutions);

const versions = ({ migration }: Synthesised) =>
  new Map(resources(migration, 'AWS::Lambda::Version'));

describe.each(WORKFLOWS)('the state machine %s', (workflow) => {
  it('is found by an output of the stack, by which the command line looks for it', () => {
    const { Outputs } = synthesised.migration.toJSON();
    expect(Outputs[WORKFLOW_OUTPUTS[workflow]].Value).toEqual({
      Ref: expect.stringMatching(new RegExp(workflow)),
    });
  });

  it('keeps every event and no data in a log of its own for a year, and is traced', () => {
    const { LoggingConfiguration, TracingConfiguration, StateMachineType } =
      machineOf(workflow).Properties;
    expect(StateMachineType).toBe('STANDARD');
    expect(TracingConfiguration).toEqual({ Enabled: true });
    const log = new RegExp(`${workflow}Log`);
    expect(LoggingConfiguration).toMatchObject({
      Level: 'ALL',
      IncludeExecutionData: false,
      Destinations: [
        {
          CloudWatchLogsLogGroup: {
            LogGroupArn: { 'Fn::GetAtt': [expect.stringMatching(log), 'Arn'] },
          },
        },
      ],
    });
    expect(resource(synthesised.migration, 'AWS::Logs::LogGroup', log)).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: { RetentionInDays: 365, KmsKeyId: expect.anything() },
    });
  });

  it('has a published version for every placeholder of its definition, and none beside', () => {
    const placeholders = new Set(
      [...readWorkflow(workflow).matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name),
    );
    const substitutions = substitutionsOf(workflow);
    expect(new Set(Object.keys(substitutions))).toEqual(placeholders);
    for (const { Ref } of Object.values(substitutions))
      expect(versions(synthesised).has(Ref), Ref).toBe(true);
  });

  it('may call every version of the functions that it calls, and nothing else', () => {
    const called = Object.values(substitutionsOf(workflow)).map(({ Ref }) => {
      const { FunctionName } = versions(synthesised).get(Ref)?.Properties ?? {};
      return textOf({
        'Fn::Join': ['', [{ 'Fn::GetAtt': [(FunctionName as { Ref: string }).Ref, 'Arn'] }, ':*']],
      });
    });
    const permissions = permissionsOf(synthesised.migration, roleOf(machineOf(workflow)));
    const invokes = permissions.filter(({ action }) => action.startsWith('lambda:'));
    expect(invokes.map(({ action }) => action)).toEqual(called.map(() => 'lambda:InvokeFunction'));
    expect(invokes.map(({ resource: one }) => one).sort()).toEqual(called.sort());
    for (const { action } of permissions) expect(action).toMatch(/^(lambda|logs|xray):/);
  });

  it('is started as itself alone', () => {
    const role = new Map(resources(synthesised.migration, 'AWS::IAM::Role')).get(
      roleOf(machineOf(workflow)),
    );
    expect(textOf(role?.Properties.AssumeRolePolicyDocument)).toMatch(
      /aws:SourceArn.*aws:SourceAccount.*states\.amazonaws\.com/,
    );
  });

  it('is what its file says: see the snapshot for what leads where', () => {
    const location = z
      .object({ Key: z.string() })
      .parse(machineOf(workflow).Properties.DefinitionS3Location);
    const definition = JSON.parse(
      readFileSync(join(synthesised.directory, `asset.${location.Key}`), 'utf8'),
    );
    expect(outline(definition)).toMatchSnapshot();
  });
});

interface AnyState {
  readonly Type: string;
  readonly Resource?: string;
  readonly Next?: string;
  readonly Default?: string;
  readonly Choices?: readonly { readonly Next: string }[];
  readonly Catch?: readonly { readonly ErrorEquals: readonly string[]; readonly Next: string }[];
  readonly ItemProcessor?: Machine;
}
interface Machine {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, AnyState>>;
}

/** States, what they call and where they lead: a line each, for a change of the definition to be read by. */
const outline = ({ StartAt, States }: Machine, indent = ''): string =>
  [
    `${indent}start: ${StartAt}`,
    ...Object.entries(States).flatMap(([name, state]) => {
      const {
        Type,
        Resource: called,
        Next,
        Default,
        Choices = [],
        Catch = [],
        ItemProcessor,
      } = state;
      const next = [...Choices.map(({ Next: to }) => to), Next, Default].filter(Boolean);
      const caught = Catch.map(({ ErrorEquals, Next: to }) => `${ErrorEquals.join(', ')} → ${to}`);
      return [
        [
          `${indent}${name}: ${Type}`,
          ...(called === undefined ? [] : [called]),
          ...(next.length > 0 ? [`→ ${[...new Set(next)].join(' | ')}`] : []),
          ...(caught.length > 0 ? [`[${caught.join('; ')}]`] : []),
        ].join(' '),
        ...(ItemProcessor === undefined ? [] : [outline(ItemProcessor, `${indent}  `)]),
      ];
    }),
  ].join('\n');

describe('versions of the functions', () => {
  it('stay for executions under way, but not after a deployment that failed', () => {
    expect(versions(synthesised).size).toBeGreaterThan(5);
    for (const [id, { DeletionPolicy, UpdateReplacePolicy }] of versions(synthesised))
      expect([DeletionPolicy, UpdateReplacePolicy], id).toEqual(['RetainExceptOnCreate', 'Retain']);
  });

  /** One function with its layers, really built: the id of its version in the template. */
  const versionOf = (mapping: Mapping, environment = 'dev') => {
    const app = new App({ context: CONTEXT });
    const settings = readSettings({ [environment]: {} }, environment);
    const { foundation } = new DatabaseStack(app, 'database', { settings });
    const stack = new Stack(app, 'one');
    const layers = new CodeLayers(stack, 'Layers', { mapping });
    const [declaration] = MIGRATION_FUNCTIONS;
    if (declaration === undefined) throw new TypeError('there are functions');
    const { currentVersion } = new KitsFunction(stack, 'One', { declaration, foundation, layers });
    app.synth();
    return stack.resolve(currentVersion.functionArn).Ref;
  };

  it('are new ones when a layer or the settings have changed, and else the same', () => {
    const version = versionOf(referenceMapping);
    expect(versionOf(referenceMapping)).toBe(version);
    const target = { ...referenceMapping.target, schema: 'elsewhere' };
    expect(versionOf({ ...referenceMapping, target })).not.toBe(version);
    expect(versionOf(referenceMapping, 'prod')).not.toBe(version);
  });
});

describe('the flags', () => {
  const created = () =>
    resources(synthesised.migration, 'Custom::UnifiedKitsFlag').map(([id, { Properties }]) => ({
      id,
      properties: Properties,
      create: z
        .object({
          service: z.literal('SSM'),
          action: z.literal('PutParameter'),
          ignoreErrorCodesMatching: z.literal('ParameterAlreadyExists'),
          parameters: z.strictObject({
            Name: z.string(),
            Value: z.string(),
            Type: z.literal('String'),
            AllowedPattern: z.string(),
            Overwrite: z.literal(false),
          }),
        })
        // A text, and no intrinsic function: a constant that no deployment changes.
        .parse(JSON.parse(z.string().parse(Properties.Create))),
    }));

  it('are all there, each with its pattern, and a value at birth that fits', () => {
    const expected = Object.values(FLAG_PARAMETERS).map((flag) => ({
      Name: flagPrefix('dev') + flag.parameter,
      Value: flag.initial,
      Type: 'String',
      AllowedPattern: flag.allowedPattern,
      Overwrite: false,
    }));
    expect(created().map(({ create }) => create.parameters)).toEqual(expected);
    for (const { Value, AllowedPattern } of expected)
      expect(Value).toMatch(new RegExp(AllowedPattern));
  });

  it('are no resources of CloudFormation’s, which would set them back with any change, and are never deleted', () => {
    synthesised.migration.resourceCountIs('AWS::SSM::Parameter', 0);
    for (const { id, properties } of created())
      expect(Object.keys(properties).sort(), id).toEqual([
        'Create',
        'InstallLatestAwsSdk',
        'ServiceToken',
      ]);
  });

  it('cannot be overwritten by a deployment, whatever it asks for', () => {
    const caller = resource(synthesised.migration, 'AWS::Lambda::Function', /^AWS679/);
    const permissions = permissionsOf(synthesised.migration, roleOf(caller));
    const on = (effect: string) =>
      permissions
        .filter((one) => one.effect === effect && one.action === 'ssm:PutParameter')
        .map(({ resource: one }) => one)
        .sort();
    expect(on('Allow')).toHaveLength(Object.keys(FLAG_PARAMETERS).length);
    expect(on('Deny')).toEqual(on('Allow'));
    for (const { effect, condition } of permissions)
      if (effect === 'Deny')
        expect(condition).toEqual({ StringEquals: { 'ssm:Overwrite': 'true' } });
    expect(new Set(permissions.map(({ action }) => action.split(':')[0]))).toEqual(
      new Set(['logs', 'ssm']),
    );
  });
});

describe('flag-changed', () => {
  const rules = () =>
    resources(synthesised.migration, 'AWS::Events::Rule')
      .filter(([id]) => id.startsWith('FlagChanges'))
      .map(([, one]) => one);
  const target = [
    {
      Arn: { 'Fn::GetAtt': [expect.stringMatching(/flagchanged/), 'Arn'] },
      RetryPolicy: { MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: 60 },
    },
  ];

  it('is called when a parameter below the environment’s prefix changes, and each minute', () => {
    expect(rules()).toHaveLength(2);
    expect(rules().map(({ Properties }) => Properties)).toEqual([
      expect.objectContaining({
        State: 'ENABLED',
        EventPattern: {
          source: ['aws.ssm'],
          'detail-type': ['Parameter Store Change'],
          detail: { name: [{ prefix: '/unified-kits/dev/' }] },
        },
        Targets: [expect.objectContaining(target[0])],
      }),
      expect.objectContaining({
        State: 'ENABLED',
        ScheduleExpression: 'rate(1 minute)',
        Targets: [expect.objectContaining(target[0])],
      }),
    ]);
  });

  it('is not called again for a call that failed: the next minute’s does the same', () => {
    expect(
      resource(synthesised.migration, 'AWS::Lambda::EventInvokeConfig').Properties,
    ).toMatchObject({
      FunctionName: { Ref: expect.stringMatching(/flagchanged/) },
      MaximumRetryAttempts: 0,
      MaximumEventAgeInSeconds: 60,
    });
  });

  it('may be called by those rules and nobody else', () => {
    const permissions = resources(synthesised.migration, 'AWS::Lambda::Permission');
    expect(
      permissions.map(([, { Properties }]) => [Properties.Principal, textOf(Properties.SourceArn)]),
    ).toEqual([
      ['events.amazonaws.com', expect.stringContaining('FlagChanges')],
      ['events.amazonaws.com', expect.stringContaining('FlagChanges')],
    ]);
  });
});

describe('the policy for operators', () => {
  const statements = () =>
    z
      .object({
        ManagedPolicyName: z.literal('unified-kits-dev-operators'),
        PolicyDocument: z.object({
          Statement: z.array(
            z.object({
              Effect: z.literal('Allow'),
              Action: z.union([z.string().transform((one) => [one]), z.array(z.string())]),
              Resource: z.unknown(),
            }),
          ),
        }),
      })
      .parse(resource(synthesised.migration, 'AWS::IAM::ManagedPolicy').Properties).PolicyDocument
      .Statement;
  const resourcesOf = (action: string): string =>
    textOf(statements().flatMap((one) => (one.Action.includes(action) ? [one.Resource] : [])));

  it('lets nobody do anything before it is given', () => {
    const { Roles, Users, Groups } = resource(
      synthesised.migration,
      'AWS::IAM::ManagedPolicy',
    ).Properties;
    expect([Roles, Users, Groups]).toEqual([undefined, undefined, undefined]);
  });

  it('starts both workflows and looks at their executions', () => {
    for (const workflow of WORKFLOWS) {
      expect(resourcesOf('states:StartExecution')).toContain(`Workflows${workflow}`);
      expect(resourcesOf('states:GetExecutionHistory')).toContain(
        `:execution:unified-kits-dev-${workflow}:*`,
      );
    }
  });

  it('calls the functions that the command line calls, and none that copies, flips or deletes', () => {
    const called = [
      ...resourcesOf('lambda:InvokeFunction').matchAll(/"Functions(\w+?)[0-9A-F]{8}"/g),
    ].map(([, name]) => name);
    expect(called.sort()).toEqual([
      'operations',
      'phase0analysis',
      'phase4contractcheck',
      'phase5queues',
      'reports',
    ]);
  });

  it('reads and sets the flags of this environment, and names everything it is about', () => {
    const named = resourcesOf('ssm:PutParameter');
    for (const { parameter } of Object.values(FLAG_PARAMETERS))
      expect(named).toContain(`parameter/unified-kits/dev/${parameter}`);
    for (const { Resource: one } of statements()) expect(textOf(one)).not.toMatch(/"\*"|\/\*"/);
  });
});

describe('the reports', () => {
  const stream = () => resource(synthesised.migration, 'AWS::KinesisFirehose::DeliveryStream');
  const bucketId = () => resources(synthesised.migration, 'AWS::S3::Bucket')[0]?.[0];

  it('are kept in a bucket that is encrypted, private, versioned, and stays when its stack goes', () => {
    expect(resource(synthesised.migration, 'AWS::S3::Bucket')).toMatchObject({
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      Properties: {
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            {
              BucketKeyEnabled: true,
              ServerSideEncryptionByDefault: {
                SSEAlgorithm: 'aws:kms',
                KMSMasterKeyID: { 'Fn::ImportValue': expect.stringContaining('Key') },
              },
            },
          ],
        },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        VersioningConfiguration: { Status: 'Enabled' },
      },
    });
    expect(textOf(resource(synthesised.migration, 'AWS::S3::BucketPolicy').Properties)).toMatch(
      /"s3:\*".*"aws:SecureTransport":"false".*"Effect":"Deny"/,
    );
  });

  it('are those of every execution of both workflows, however it ended', () => {
    const { EventPattern, Targets } = resource(
      synthesised.migration,
      'AWS::Events::Rule',
      /^Reports/,
    ).Properties;
    expect(EventPattern).toEqual({
      source: ['aws.states'],
      'detail-type': ['Step Functions Execution Status Change'],
      detail: {
        stateMachineArn: resources(synthesised.migration, 'AWS::StepFunctions::StateMachine').map(
          ([Ref]) => ({ Ref }),
        ),
        status: ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'],
      },
    });
    expect(Targets).toMatchObject([
      { Arn: { 'Fn::GetAtt': [expect.stringMatching(/^Reports/), 'Arn'] }, InputPath: '$.detail' },
    ]);
  });

  it('are written by a role that can do that and no more', () => {
    const { ExtendedS3DestinationConfiguration, DeliveryStreamEncryptionConfigurationInput } =
      stream().Properties;
    expect(DeliveryStreamEncryptionConfigurationInput).toEqual({ KeyType: 'AWS_OWNED_CMK' });
    expect(ExtendedS3DestinationConfiguration).toMatchObject({
      BucketARN: { 'Fn::GetAtt': [bucketId(), 'Arn'] },
      BufferingHints: { IntervalInSeconds: 0 },
      EncryptionConfiguration: { KMSEncryptionConfig: { AWSKMSKeyARN: expect.anything() } },
    });
    const { RoleARN } = ExtendedS3DestinationConfiguration as {
      RoleARN: { 'Fn::GetAtt': [string, string] };
    };
    const permissions = permissionsOf(synthesised.migration, RoleARN['Fn::GetAtt'][0]);
    expect(permissions.map(({ action }) => action).sort()).toEqual([
      'kms:Decrypt',
      'kms:GenerateDataKey',
      'logs:PutLogEvents',
      's3:AbortMultipartUpload',
      's3:GetBucketLocation',
      's3:ListBucket',
      's3:ListBucketMultipartUploads',
      's3:PutObject',
    ]);
    for (const { action, resource: one } of permissions)
      if (action.startsWith('s3:')) expect(one).toContain(`"${bucketId()}","Arn"`);
  });
});
