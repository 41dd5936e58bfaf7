import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import {
  DeleteParameterCommand,
  DescribeParametersCommand,
  GetParameterCommand,
  GetParameterHistoryCommand,
  GetParametersCommand,
  PutParameterCommand,
  paginateGetParametersByPath,
  SSMClient,
} from '@aws-sdk/client-ssm';
import { afterEach, describe, expect, it } from 'vitest';
import type { ParameterStoreChange } from '../../infra/local/aws/parameter-events.ts';
import { type LocalAws, type LocalAwsOptions, startLocalAws } from '../../infra/local/aws/start.ts';

const closing: Array<() => Promise<void> | void> = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function localAws(options?: LocalAwsOptions): Promise<{ aws: LocalAws; ssm: SSMClient }> {
  const aws = await startLocalAws(options);
  const ssm = new SSMClient(aws);
  closing.push(
    () => aws.stop(),
    () => ssm.destroy(),
  );
  return { aws, ssm };
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'unified-kits-test-'));
  closing.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const flag = (name: string, value: string) =>
  new PutParameterCommand({
    Name: `/unified-kits/test/${name}`,
    Value: value,
    Type: 'String',
    AllowedPattern: '^(true|false)$',
    Overwrite: true,
  });
const get = (name: string) => new GetParameterCommand({ Name: `/unified-kits/test/${name}` });

describe('the local Parameter Store', () => {
  it('counts versions and says who changed a parameter last', async () => {
    const { aws, ssm } = await localAws();
    expect((await ssm.send(flag('unified-reads', 'false'))).Version).toBe(1);
    const operator = new SSMClient({
      ...aws,
      credentials: { accessKeyId: 'OPERATOR', secretAccessKey: 'x' },
    });
    closing.push(() => operator.destroy());
    expect((await operator.send(flag('unified-reads', 'true'))).Version).toBe(2);

    const { Parameter } = await ssm.send(get('unified-reads'));
    expect(Parameter).toMatchObject({
      Name: '/unified-kits/test/unified-reads',
      ARN: 'arn:aws:ssm:eu-west-1:000000000000:parameter/unified-kits/test/unified-reads',
      Type: 'String',
      Value: 'true',
      Version: 2,
      DataType: 'text',
    });
    expect(Math.abs(Date.now() - Number(Parameter?.LastModifiedDate))).toBeLessThan(5_000);

    const described = await ssm.send(
      new DescribeParametersCommand({
        ParameterFilters: [{ Key: 'Name', Option: 'BeginsWith', Values: ['/unified-kits/'] }],
      }),
    );
    expect(described.Parameters?.map((one) => [one.LastModifiedUser, one.AllowedPattern])).toEqual([
      ['arn:aws:iam::000000000000:user/OPERATOR', '^(true|false)$'],
    ]);
    const { Parameters } = await ssm.send(
      new GetParameterHistoryCommand({ Name: '/unified-kits/test/unified-reads' }),
    );
    expect(Parameters?.map((one) => [one.Version, one.Value, one.LastModifiedUser])).toEqual([
      [1, 'false', 'arn:aws:iam::000000000000:user/local'],
      [2, 'true', 'arn:aws:iam::000000000000:user/OPERATOR'],
    ]);
  });

  it('refuses a value outside the pattern, also when only the first write gave the pattern', async () => {
    const { ssm } = await localAws();
    await expect(ssm.send(flag('unified-reads', 'yes'))).rejects.toMatchObject({
      name: 'ParameterPatternMismatchException',
    });
    await ssm.send(flag('unified-reads', 'true'));
    const later = new PutParameterCommand({
      Name: '/unified-kits/test/unified-reads',
      Value: 'maybe',
      Overwrite: true,
    });
    await expect(ssm.send(later)).rejects.toMatchObject({
      name: 'ParameterPatternMismatchException',
    });
    expect((await ssm.send(get('unified-reads'))).Parameter?.Value).toBe('true');
  });

  it('refuses to replace a parameter without being told to, and to create one without a type', async () => {
    const { ssm } = await localAws();
    const name = { Name: '/unified-kits/test/x', Value: '1' };
    await expect(ssm.send(new PutParameterCommand(name))).rejects.toMatchObject({
      name: 'ValidationException',
    });
    await ssm.send(new PutParameterCommand({ ...name, Type: 'String' }));
    await expect(
      ssm.send(new PutParameterCommand({ ...name, Type: 'String' })),
    ).rejects.toMatchObject({ name: 'ParameterAlreadyExists' });
  });

  it('reads by name, by version, several at once, and says what does not exist', async () => {
    const { ssm } = await localAws();
    await ssm.send(flag('a', 'true'));
    await ssm.send(flag('a', 'false'));
    const first = await ssm.send(new GetParameterCommand({ Name: '/unified-kits/test/a:1' }));
    expect(first.Parameter?.Value).toBe('true');
    await expect(
      ssm.send(new GetParameterCommand({ Name: '/unified-kits/test/a:9' })),
    ).rejects.toMatchObject({ name: 'ParameterVersionNotFound' });
    await expect(ssm.send(get('b'))).rejects.toMatchObject({ name: 'ParameterNotFound' });
    const many = await ssm.send(
      new GetParametersCommand({ Names: ['/unified-kits/test/a', '/unified-kits/test/b'] }),
    );
    expect(many.Parameters?.map((one) => one.Value)).toEqual(['false']);
    expect(many.InvalidParameters).toEqual(['/unified-kits/test/b']);
  });

  it('pages through a path, with and without what lies deeper', async () => {
    const { ssm } = await localAws();
    const names = Array.from({ length: 23 }, (_, i) => `p${String(i).padStart(2, '0')}`);
    for (const name of [...names, 'deep/er']) await ssm.send(flag(name, 'true'));
    const list = async (Recursive: boolean) => {
      const found: string[] = [];
      const pages = paginateGetParametersByPath(
        { client: ssm, pageSize: 7 },
        { Path: '/unified-kits/test', Recursive },
      );
      for await (const page of pages) {
        expect(page.Parameters?.length).toBeLessThanOrEqual(7);
        found.push(...(page.Parameters ?? []).map((one) => String(one.Name)));
      }
      return found.map((name) => name.slice('/unified-kits/test/'.length));
    };
    expect(await list(false)).toEqual(names);
    expect(await list(true)).toEqual(['deep/er', ...names]);
  });

  it('sends the EventBridge event of every change, after the change was answered', async () => {
    const { aws, ssm } = await localAws();
    const events: ParameterStoreChange[] = [];
    aws.onParameterChange((event) => {
      events.push(event);
    });
    await ssm.send(flag('dual-write', 'false'));
    await ssm.send(flag('dual-write', 'true'));
    await ssm.send(new DeleteParameterCommand({ Name: '/unified-kits/test/dual-write' }));
    await aws.parameterChangesHandled();
    expect(events.map((event) => event.detail.operation)).toEqual(['Create', 'Update', 'Delete']);
    expect(events[0]).toEqual({
      version: '0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      'detail-type': 'Parameter Store Change',
      source: 'aws.ssm',
      account: '000000000000',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
      region: 'eu-west-1',
      resources: ['arn:aws:ssm:eu-west-1:000000000000:parameter/unified-kits/test/dual-write'],
      detail: { operation: 'Create', name: '/unified-kits/test/dual-write', type: 'String' },
    });
  });

  it('keeps delivering when one listener fails, and to nobody who unsubscribed', async () => {
    const failures: unknown[] = [];
    const { aws, ssm } = await localAws({ onListenerError: (error) => failures.push(error) });
    const seen: string[] = [];
    aws.onParameterChange(() => Promise.reject(new Error('first listener')));
    const unsubscribe = aws.onParameterChange(async (event) => {
      // A listener that puts the flag back, as the reconciler does, is not called within itself.
      if (event.detail.operation === 'Create') await ssm.send(flag('guard', 'false'));
      seen.push(event.detail.operation);
    });
    await ssm.send(flag('guard', 'true'));
    await aws.parameterChangesHandled();
    expect(seen).toEqual(['Create', 'Update']);
    expect(failures).toHaveLength(2);
    unsubscribe();
    await ssm.send(flag('guard', 'true'));
    await aws.parameterChangesHandled();
    expect(seen).toHaveLength(2);
  });

  it('keeps parameters in its state file, whole after every answered write', async () => {
    const file = join(await temporaryFolder(), 'state', 'flags.json');
    const first = await localAws({ stateFile: file });
    await Promise.all(Array.from({ length: 20 }, (_, i) => first.ssm.send(flag(`f${i}`, 'true'))));
    // No stop: a second server reads what a killed first one left.
    const second = await localAws({ stateFile: file });
    for (let i = 0; i < 20; i += 1) {
      expect((await second.ssm.send(get(`f${i}`))).Parameter?.Version).toBe(1);
    }
  });

  it('names the state file that is not one', async () => {
    const file = join(await temporaryFolder(), 'flags.json');
    await writeFile(file, '{"half":');
    await expect(startLocalAws({ stateFile: file })).rejects.toMatchObject({
      name: 'LocalStateError',
      message: expect.stringContaining(file),
    });
    await writeFile(file, '{"format":2}');
    await expect(startLocalAws({ stateFile: file })).rejects.toMatchObject({
      name: 'LocalStateError',
    });
    expect(await readFile(file, 'utf8')).toBe('{"format":2}');
  });
});

describe('the local endpoint', () => {
  it('fails the next call as told, and only that one', async () => {
    const { aws, ssm } = await localAws();
    await ssm.send(flag('guard', 'true'));
    aws.failNext('GetParameter', 'AccessDeniedException');
    await expect(ssm.send(get('guard'))).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect((await ssm.send(get('guard'))).Parameter?.Value).toBe('true');
    expect(() => aws.failNext('GetParametre', 'X')).toThrow(/GetParametre/);
  });

  it('outlasts the repetitions of the SDK when an outage lasts as long', async () => {
    const { aws, ssm } = await localAws();
    aws.failNext('GetParameter', 'InternalServerError', 3);
    await expect(ssm.send(get('guard'))).rejects.toMatchObject({ name: 'InternalServerError' });
    await expect(ssm.send(get('guard'))).rejects.toMatchObject({ name: 'ParameterNotFound' });
  });

  it('answers an unknown operation with its name and the ones there are', async () => {
    const { aws } = await localAws();
    const response = await fetch(aws.endpoint, {
      method: 'POST',
      headers: { 'x-amz-target': 'AmazonSSM.SendCommand' },
      body: '{}',
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      __type: 'UnknownOperationException',
      message: expect.stringMatching(/AmazonSSM\.SendCommand.*AWSStepFunctions\.StartExecution/),
    });
  });

  it('refuses a member it does not implement instead of ignoring it', async () => {
    const { ssm } = await localAws();
    const command = new DescribeParametersCommand({
      ParameterFilters: [{ Key: 'Type', Values: ['String'] }],
    });
    await expect(ssm.send(command)).rejects.toMatchObject({ name: 'ValidationException' });
  });

  it('refuses to be called by another host name', async () => {
    const { aws } = await localAws();
    const { port } = new URL(aws.endpoint);
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const call = request(
        { port, host: '127.0.0.1', method: 'POST', headers: { host: 'evil.example' } },
        (response) => {
          response.resume();
          resolve(response.statusCode);
        },
      );
      call.once('error', reject);
      call.end('{}');
    });
    expect(status).toBe(403);
  });

  describe('calls a function for an operator', () => {
    const calling = async () => {
      const { aws } = await localAws();
      const lambda = new LambdaClient(aws);
      closing.push(() => lambda.destroy());
      const arn = aws.functionArn('greeting');
      aws.registerFunction(arn, (event) => {
        if (Object.hasOwn(Object(event), 'fail')) throw new RangeError('not today');
        return { heard: event };
      });
      const invoke = async (FunctionName: string, payload: object, more = {}) => {
        const answer = await lambda.send(
          new InvokeCommand({ FunctionName, Payload: JSON.stringify(payload), ...more }),
        );
        return { ...answer, result: JSON.parse(answer.Payload?.transformToString() ?? '') };
      };
      return { arn, invoke };
    };

    it('by its ARN or its name, with the payload and nothing else', async () => {
      const { arn, invoke } = await calling();
      for (const name of [arn, 'greeting']) {
        const answer = await invoke(name, { action: 'approve' });
        expect(answer).toMatchObject({
          StatusCode: 200,
          result: { heard: { action: 'approve' } },
        });
        expect(answer.FunctionError).toBeUndefined();
      }
    });

    it('and tells what the function threw', async () => {
      const { invoke } = await calling();
      expect(await invoke('greeting', { fail: true })).toMatchObject({
        StatusCode: 200,
        FunctionError: 'Unhandled',
        result: { errorType: 'RangeError', errorMessage: 'not today' },
      });
    });

    it('but knows no other, and no other way to call it', async () => {
      const { invoke } = await calling();
      await expect(invoke('farewell', {})).rejects.toMatchObject({
        name: 'ResourceNotFoundException',
      });
      await expect(invoke('greeting', {}, { InvocationType: 'Event' })).rejects.toMatchObject({
        name: 'ValidationException',
      });
    });
  });

  it('stops while a client keeps its connection open', async () => {
    const { aws, ssm } = await localAws();
    await ssm.send(flag('a', 'true'));
    const stopped = await Promise.race([
      aws.stop().then(() => true),
      sleep(2_000, false, { ref: false }),
    ]);
    expect(stopped).toBe(true);
    await expect(fetch(aws.endpoint)).rejects.toThrow();
  });
});
