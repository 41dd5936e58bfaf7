import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kitsProcess } from '../support/kits-cli.ts';
import { type Rig, rigOf } from '../support/system.ts';

/** As CloudFormation answers; an empty list of outputs is a stack of another version. */
const stacks = (outputs: Readonly<Record<string, string>>): string => `
  <DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult><Stacks><member>
    <StackName>unified-kits-test-migration</StackName><StackStatus>UPDATE_COMPLETE</StackStatus>
    <CreationTime>2026-11-20T10:00:00Z</CreationTime>
    <Outputs>${Object.entries(outputs)
      .map(
        ([key, value]) =>
          `<member><OutputKey>${key}</OutputKey><OutputValue>${value}</OutputValue></member>`,
      )
      .join('')}</Outputs>
  </member></Stacks></DescribeStacksResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeStacksResponse>`;

let rig: Rig;
let server: Server;
let endpoint: string;
let outputs: Readonly<Record<string, string>>;
/** What CloudFormation was asked for. */
const asked: string[] = [];
beforeAll(async () => {
  rig = await rigOf(20);
  const { cutover, rollback } = rig.system.stateMachineArns;
  outputs = { CutoverArn: cutover, RollbackArn: rollback };
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    asked.push(Buffer.concat(chunks).toString());
    response.setHeader('content-type', 'text/xml');
    response.end(stacks(outputs));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new TypeError('a port');
  endpoint = `http://127.0.0.1:${address.port}`;
});
afterAll(async () => {
  server?.close();
  await rig?.close();
});

/** The environment of an operator on AWS: keys and endpoints of the SDK's own, nothing of ours. */
const onAws = (...args: readonly string[]) => {
  const { aws } = rig.system;
  return kitsProcess(['--aws', '--environment', 'test', ...args], {
    environment: {
      AWS_ENDPOINT_URL: aws.endpoint,
      AWS_ENDPOINT_URL_CLOUDFORMATION: endpoint,
      AWS_REGION: aws.region,
      AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
    },
  });
};

describe('kits on AWS', () => {
  it('finds an environment by the outputs of its stack, and works through the same clients', async () => {
    const { code, json } = await onAws('status', '--json');
    expect(asked[0]).toMatch(/Action=DescribeStacks&.*StackName=unified-kits-test-migration/);
    expect(code).toBe(0);
    expect(json()).toMatchObject({
      environment: 'test',
      standing: null,
      executions: [],
      flags: { 'unified-reads': 'false' },
    });
  });

  it('names account and region before it changes anything', async () => {
    const { code, remarks } = await onAws('flags', 'set', 'unified-reads=true');
    expect(code).toBe(3);
    expect(remarks).toMatch(/^Refused: it would be put back: in stage "legacy"/);
    const redrive = await onAws('jobs', 'redrive', '--all');
    expect([redrive.code, redrive.remarks]).toEqual([
      4,
      expect.stringContaining('in environment "test" of AWS account 000000000000, eu-west-1.'),
    ]);
  });

  it('says what to deploy when the stack has no such outputs', async () => {
    outputs = {};
    const { code, remarks } = await onAws('status');
    expect([code, remarks]).toEqual([
      5,
      'NoSystem: stack unified-kits-test-migration has no output CutoverArn: deploy this version of it\n',
    ]);
  });
});
