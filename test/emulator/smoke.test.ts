import {
  GetEventSourceMappingCommand,
  InvokeCommand,
  LambdaClient,
  ListEventSourceMappingsCommand,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import {
  DescribeStateMachineCommand,
  ListStateMachinesCommand,
  SFNClient,
} from '@aws-sdk/client-sfn';
import { GetParametersByPathCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { FLAG_PARAMETERS } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flagPrefix } from '../../infra/constructs/flags.ts';
import { SETTINGS_KEY } from '../../infra/settings.ts';
import { CdkCli, clientOptions } from './deploy-with-cdk.ts';
import { emulatorEndpoint } from './endpoint.ts';

const endpoint = emulatorEndpoint(process.env.AWS_ENDPOINT_URL);
const ENVIRONMENT = 'emulator';
const CONSUMER = `unified-kits-${ENVIRONMENT}-phase5-jobs`;

const cdk = new CdkCli(endpoint);
const ssm = new SSMClient(clientOptions(endpoint));
const sfn = new SFNClient(clientOptions(endpoint));
const lambda = new LambdaClient(clientOptions(endpoint));

/** Deploys beside an existing database; nobody listens there, for nothing here connects. */
const deploy = async (changes: Readonly<Record<string, unknown>> = {}) => {
  const [fixture = {}] = Object.values(await cdk.deploy('node test/emulator/fixture-app.ts'));
  const { subnetId, ...existing } = fixture;
  const settings = {
    database: {
      kind: 'existing',
      host: 'database.example.com',
      databaseName: 'kits',
      subnetIds: [subnetId],
      endpoints: false,
      ...existing,
    },
    ...changes,
  };
  return cdk.deploy('node infra/app.ts', {
    environment: ENVIRONMENT,
    [SETTINGS_KEY]: { [ENVIRONMENT]: settings },
  });
};

const flags = async (): Promise<Record<string, string | undefined>> => {
  const { Parameters = [] } = await ssm.send(
    new GetParametersByPathCommand({ Path: flagPrefix(ENVIRONMENT) }),
  );
  return Object.fromEntries(
    Parameters.map(({ Name = '', Value }) => [Name.replace(flagPrefix(ENVIRONMENT), ''), Value]),
  );
};

const mapping = async () => {
  const { EventSourceMappings = [] } = await lambda.send(
    new ListEventSourceMappingsCommand({ FunctionName: CONSUMER }),
  );
  expect(EventSourceMappings).toHaveLength(1);
  return EventSourceMappings[0]?.UUID ?? '';
};

/** The state that a mapping comes to rest in. */
const restingState = async (UUID: string): Promise<string | undefined> => {
  for (;;) {
    const { State } = await lambda.send(new GetEventSourceMappingCommand({ UUID }));
    if (State === 'Enabled' || State === 'Disabled') return State;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
};

beforeAll(async () => {
  await cdk.bootstrap();
  await deploy();
});
afterAll(() => {
  cdk.remove();
  for (const client of [ssm, sfn, lambda]) client.destroy();
});

describe('a deployment', () => {
  it('creates the flags with their values at birth, and overwrites none when it is repeated', async () => {
    const born = Object.fromEntries(
      Object.values(FLAG_PARAMETERS).map(({ parameter, initial }) => [parameter, initial]),
    );
    expect(await flags()).toEqual(born);
    await ssm.send(
      new PutParameterCommand({
        Name: `${flagPrefix(ENVIRONMENT)}copy-rows-per-second`,
        Value: '1000',
        Overwrite: true,
      }),
    );
    await deploy({ runbookUrl: 'https://changed.example/RUNBOOK.md' });
    expect(await flags()).toEqual({ ...born, 'copy-rows-per-second': '1000' });
  });

  it('creates the consumer paused, and leaves it as it is from then on', async () => {
    const UUID = await mapping();
    expect(await restingState(UUID)).toBe('Disabled');
    await lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled: true }));
    expect(await restingState(UUID)).toBe('Enabled');
    await deploy({ runbookUrl: 'https://changed.again/RUNBOOK.md' });
    expect(await mapping()).toBe(UUID);
    expect(await restingState(UUID)).toBe('Enabled');
  });

  it('makes both workflows, each of published versions of its functions', async () => {
    const { stateMachines = [] } = await sfn.send(new ListStateMachinesCommand({}));
    const own = stateMachines.filter(({ name = '' }) =>
      name.startsWith(`unified-kits-${ENVIRONMENT}-`),
    );
    expect(own.map(({ name }) => name).sort()).toEqual([
      `unified-kits-${ENVIRONMENT}-cutover`,
      `unified-kits-${ENVIRONMENT}-rollback`,
    ]);
    for (const { stateMachineArn } of own) {
      const { definition = '' } = await sfn.send(
        new DescribeStateMachineCommand({ stateMachineArn }),
      );
      const called = [...definition.matchAll(/"Resource":\s*"([^"]+)"/g)].map(([, arn]) => arn);
      expect(called.length).toBeGreaterThan(5);
      for (const arn of called) expect(arn).toMatch(/:function:unified-kits-[\w-]+:\d+$/);
    }
  });

  it('runs its code beside its layers', async () => {
    const { Payload, FunctionError } = await lambda.send(
      new InvokeCommand({
        FunctionName: `unified-kits-${ENVIRONMENT}-phase0-analysis`,
        Payload: JSON.stringify({
          action: 'accept',
          execution: 'smoke',
          input: { mode: 'analyse', actor: 'smoke' },
        }),
      }),
    );
    expect(FunctionError).toBeUndefined();
    expect(JSON.parse(Buffer.from(Payload ?? []).toString('utf8'))).toMatchObject({
      run: { execution: 'smoke', mode: 'analyse' },
    });
  });
});
