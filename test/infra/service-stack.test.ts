import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { SERVICE_FUNCTIONS } from '../../infra/function-table.ts';
import {
  permissionsOf,
  type Resource,
  resource,
  resources,
  roleOf,
  type Synthesised,
  synthesise,
  textOf,
} from '../support/templates.ts';

const api = { issuer: 'https://issuer.example/', audience: ['kits', 'kits-admin'] };

let synthesised: Synthesised;
beforeAll(() => {
  synthesised = synthesise({ settings: { api } });
});

const queue = (id: RegExp): Resource => resource(synthesised.service, 'AWS::SQS::Queue', id);

describe('the API', () => {
  it('needs a token of the issuer, for one of the audiences, on every route but its description', () => {
    expect(resource(synthesised.service, 'AWS::ApiGatewayV2::Authorizer').Properties).toMatchObject(
      {
        AuthorizerType: 'JWT',
        IdentitySource: ['$request.header.Authorization'],
        JwtConfiguration: { Issuer: api.issuer, Audience: api.audience },
      },
    );
    const routes = resources(synthesised.service, 'AWS::ApiGatewayV2::Route').map(
      ([, { Properties }]) => [Properties.RouteKey, Properties.AuthorizationType],
    );
    expect(new Map(routes as [string, string][])).toEqual(
      new Map([
        ['ANY /{proxy+}', 'JWT'],
        ['GET /openapi.json', 'NONE'],
      ]),
    );
  });

  it('is throttled, and logs neither paths nor who asked', () => {
    const { AccessLogSettings, DefaultRouteSettings } = resource(
      synthesised.service,
      'AWS::ApiGatewayV2::Stage',
    ).Properties;
    expect(DefaultRouteSettings).toEqual({
      ThrottlingRateLimit: expect.any(Number),
      ThrottlingBurstLimit: expect.any(Number),
    });
    const { Format, DestinationArn } = z
      .object({ Format: z.string(), DestinationArn: z.unknown() })
      .parse(AccessLogSettings);
    expect(Object.keys(JSON.parse(Format))).toContain('requestId');
    expect(Format).not.toMatch(/path|query|identity|claims|user|header/i);
    const [id] = z
      .object({ 'Fn::GetAtt': z.tuple([z.string(), z.string()]) })
      .parse(DestinationArn)['Fn::GetAtt'];
    expect(new Map(resources(synthesised.service, 'AWS::Logs::LogGroup')).get(id)).toMatchObject({
      DeletionPolicy: 'Retain',
      Properties: { KmsKeyId: expect.anything(), RetentionInDays: 90 },
    });
  });

  it('is not there without an issuer; jobs and events are', () => {
    const { service } = synthesise();
    service.resourceCountIs('AWS::ApiGatewayV2::Api', 0);
    service.resourceCountIs('AWS::SQS::Queue', 4);
  });
});

describe.each(['Jobs', 'Events'])('the queue of %s', (name) => {
  const main = () => queue(new RegExp(`^${name}Queue`));
  const dead = () => queue(new RegExp(`^${name}DeadLetters`));

  it('is encrypted with the environment’s key, speaks TLS only, and stays when its stack goes', () => {
    for (const one of [main(), dead()])
      expect(one).toMatchObject({
        DeletionPolicy: 'Retain',
        UpdateReplacePolicy: 'Retain',
        Properties: { KmsMasterKeyId: { 'Fn::ImportValue': expect.stringContaining('Key') } },
      });
    const policies = resources(synthesised.service, 'AWS::SQS::QueuePolicy')
      .map(([, { Properties }]) => textOf(Properties))
      .filter((text) => text.includes(`"Ref":"${name}`));
    expect(policies).toHaveLength(2);
    for (const policy of policies)
      expect(policy).toMatch(/"sqs:\*".*aws:SecureTransport":"false".*"Effect":"Deny"/);
  });

  it('gives a message up after five receives at the earliest, to where it is kept longer', () => {
    const { RedrivePolicy, MessageRetentionPeriod } = main().Properties;
    expect(RedrivePolicy).toMatchObject({
      deadLetterTargetArn: { 'Fn::GetAtt': [expect.stringContaining(`${name}DeadLetters`), 'Arn'] },
    });
    expect((RedrivePolicy as { maxReceiveCount: number }).maxReceiveCount).toBeGreaterThanOrEqual(
      5,
    );
    expect(Number(dead().Properties.MessageRetentionPeriod)).toBeGreaterThan(
      Number(MessageRetentionPeriod),
    );
  });
});

describe('the consumer of jobs', () => {
  const mapping = () => resource(synthesised.service, 'Custom::UnifiedKitsQueueConsumer');
  /** The call as the custom resource will make it, its intrinsic functions replaced by their ids. */
  const call = (kind: 'Create' | 'Update' | 'Delete') => {
    const text = textOf(mapping().Properties[kind]);
    const parts = z
      .union([
        z.string().transform((one) => [one]),
        z
          .object({ 'Fn::Join': z.tuple([z.literal(''), z.array(z.unknown())]) })
          .transform((join) => join['Fn::Join'][1]),
      ])
      .parse(JSON.parse(text))
      .map((part) => (typeof part === 'string' ? part : textOf(part).replaceAll('"', "'")));
    return z
      .object({ action: z.string(), parameters: z.record(z.string(), z.unknown()) })
      .parse(JSON.parse(parts.join('')));
  };

  it('has time for a batch, six times over, before another may get it', () => {
    const { Timeout, FunctionName } = resource(
      synthesised.service,
      'AWS::Lambda::Function',
      /phase5jobs/,
    ).Properties;
    expect(FunctionName).toBe('unified-kits-dev-phase5-jobs');
    expect(Timeout).toBe(SERVICE_FUNCTIONS.jobs.timeoutSeconds);
    expect(Number(queue(/^JobsQueue/).Properties.VisibilityTimeout)).toBeGreaterThanOrEqual(
      6 * Number(Timeout),
    );
  });

  it('is created disabled, told of failures message by message', () => {
    expect(call('Create')).toMatchObject({
      action: 'CreateEventSourceMapping',
      parameters: {
        Enabled: false,
        FunctionResponseTypes: ['ReportBatchItemFailures'],
        EventSourceArn: expect.stringContaining('JobsQueue'),
        FunctionName: expect.stringContaining('phase5jobs'),
      },
    });
  });

  it('is never let go, or paused, by a deployment', () => {
    expect(call('Update').action).toBe('UpdateEventSourceMapping');
    expect(call('Update').parameters).not.toHaveProperty('Enabled');
    expect(call('Update').parameters).toHaveProperty('BatchSize');
    synthesised.service.resourceCountIs('AWS::Lambda::EventSourceMapping', 0);
  });

  it('is made, changed and removed by a role that may do so for this function alone', () => {
    const caller = resource(synthesised.service, 'AWS::Lambda::Function', /^AWS679/);
    const permissions = permissionsOf(synthesised.service, roleOf(caller)).filter(
      ({ action }) => !action.startsWith('logs:'),
    );
    expect(permissions.map(({ action }) => action).sort()).toEqual(
      ['Create', 'Delete', 'Update'].map((kind) => `lambda:${kind}EventSourceMapping`),
    );
    for (const { condition } of permissions)
      expect(textOf(condition)).toMatch(/^\{"ArnEquals":\{"lambda:FunctionArn":.*phase5jobs/);
  });

  it('gives a job up before the queue would, which knows no reason', () => {
    const { maxReceiveCount } = queue(/^JobsQueue/).Properties.RedrivePolicy as {
      maxReceiveCount: number;
    };
    const { Variables } = z
      .object({ Variables: z.object({ JOBS_MOST_RECEIVES: z.coerce.number().min(5) }) })
      .parse(
        resource(synthesised.service, 'AWS::Lambda::Function', /phase5jobs/).Properties.Environment,
      );
    expect(maxReceiveCount).toBeGreaterThan(Variables.JOBS_MOST_RECEIVES);
  });
});

it('relays events each minute, one call at a time and none twice', () => {
  expect(resource(synthesised.service, 'AWS::Events::Rule').Properties).toMatchObject({
    ScheduleExpression: 'rate(1 minute)',
    State: 'ENABLED',
    Targets: [
      {
        Arn: { 'Fn::GetAtt': [expect.stringMatching(/phase5relay/), 'Arn'] },
        RetryPolicy: { MaximumRetryAttempts: 0 },
      },
    ],
  });
  expect(resource(synthesised.service, 'AWS::Lambda::EventInvokeConfig').Properties).toMatchObject({
    MaximumRetryAttempts: 0,
  });
  expect(Number(SERVICE_FUNCTIONS.relay.timeoutSeconds)).toBeLessThan(60);
});
