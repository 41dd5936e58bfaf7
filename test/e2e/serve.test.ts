import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../infra/local/postgres/port.ts';
import { clinicDatabase } from '../support/clinic.ts';
import { freshHome, type Started, startAt } from '../support/start.ts';
import { eventually } from '../support/system.ts';

const UP = 'Ctrl-C ends it';
const CLINIC_MAPPING = fileURLToPath(new URL('../fixtures/clinic.mapping.ts', import.meta.url));

/** What a shell knows after the lines that were printed, and the requests among them. */
const printed = (output: string) => {
  const lines = output.replaceAll(/\\\n\s*/g, '').split('\n');
  const variables = new Map(
    lines
      .filter((line) => line.startsWith('export '))
      .flatMap((line) => line.slice('export '.length).split(' '))
      .map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  const expand = (text: string) =>
    text.replaceAll(/\$([A-Z_]+)/g, (_all, name) => variables.get(name) ?? '');
  const curl = (line: string) => ({
    url: expand(/"(\$API[^"]+)"/.exec(line)?.[1] ?? ''),
    method: line.includes('-X PATCH') ? 'PATCH' : line.includes(' -d ') ? 'POST' : 'GET',
    headers: Object.fromEntries(
      [...line.matchAll(/-H (["'])(.+?)\1/g)].map(([, , header = '']) =>
        expand(header).split(': '),
      ),
    ) as Record<string, string>,
    body: / -d '(.+)'$/.exec(line)?.[1],
  });
  const variable = (name: string) => {
    const value = variables.get(name);
    if (value === undefined) throw new Error(`the output exports no ${name}:\n${output}`);
    return value;
  };
  return { variable, requests: lines.filter((line) => line.startsWith('curl ')).map(curl) };
};

const ask = async ({
  url,
  method,
  headers,
  body,
}: ReturnType<typeof printed>['requests'][number]) => {
  const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

describe('npm start -- serve', () => {
  const home = freshHome();
  let ports: readonly string[];
  let serving: Started;
  const serve = async (...args: string[]) => {
    serving = startAt(home, ['serve', ...ports, ...args]);
    await serving.shows(UP);
    return printed(serving.output());
  };
  const end = async () => {
    serving.signal('SIGINT');
    return serving.ended;
  };

  beforeAll(async () => {
    ports = ['--port', String(await freePort()), '--aws-port', String(await freePort())];
  });
  afterAll(async () => {
    serving?.signal('SIGKILL');
    await rm(home, { recursive: true, force: true });
  });

  let shell: ReturnType<typeof printed>;
  const clientOf = <Client>(
    of: new (options: {
      endpoint: string;
      region: string;
      credentials: { accessKeyId: string; secretAccessKey: string };
    }) => Client,
  ): Client =>
    new of({
      endpoint: shell.variable('AWS_ENDPOINT_URL'),
      region: shell.variable('AWS_REGION'),
      credentials: {
        accessKeyId: shell.variable('AWS_ACCESS_KEY_ID'),
        secretAccessKey: shell.variable('AWS_SECRET_ACCESS_KEY'),
      },
    });

  it('answers every request that it prints, as both owners', async () => {
    shell = await serve('--rows', '500');
    expect(shell.requests.map(({ method }) => method)).toEqual([
      ...['GET', 'GET', 'POST', 'PATCH'],
      ...['GET', 'GET', 'POST', 'PATCH'],
    ]);
    for (const request of shell.requests)
      expect(await ask(request), request.url).toMatchObject({
        status: request.method === 'POST' ? 201 : 200,
        body: request.method === 'GET' ? { kits: expect.any(Array) } : { orderId: 'EXAMPLE-1' },
      });
    const { status } = await fetch(`${shell.variable('API')}/kits`);
    expect(status).toBe(401);
  });

  it('refuses a second process in its data directory, and one on its port', async () => {
    const again = await startAt(home, ['serve', ...ports]).ended;
    expect(again.errors).toMatch(/DataDirectoryInUseError.*in use by process/);
    const run = await startAt(home, ['--rows', '500']).ended;
    expect(run.errors).toMatch(/DataDirectoryInUseError.*in use by process/);
    const other = freshHome();
    try {
      const busy = await startAt(other, ['serve', ...ports]).ended;
      expect(busy.errors).toMatch(/PortInUseError: --port \d+: another program listens there/);
      expect([again.code, run.code, busy.code]).toEqual([1, 1, 1]);
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });

  it('is cut over by an operator at the printed endpoint while clients go on', async () => {
    const [sfn, lambda] = [clientOf(SFNClient), clientOf(LambdaClient)];
    const execute = async (input: object) => {
      const stateMachineArn = shell.variable('CUTOVER');
      const { executionArn } = await sfn.send(
        new StartExecutionCommand({ stateMachineArn, input: JSON.stringify(input) }),
      );
      return eventually(
        () => sfn.send(new DescribeExecutionCommand({ executionArn })),
        ({ status }) => status !== 'RUNNING',
        120_000,
      );
    };
    const analysed = await execute({ mode: 'analyse', actor: 'operator' });
    expect(analysed.status).toBe('SUCCEEDED');
    const { analysisId: reportId, digest } = JSON.parse(analysed.output ?? '');
    const approval = { action: 'approve', reportId, digest, actor: 'operator' };
    const approved = await lambda.send(
      new InvokeCommand({
        FunctionName: 'unified-kits-local-phase0-analysis',
        Payload: JSON.stringify(approval),
      }),
    );
    expect(approved.FunctionError).toBeUndefined();

    let over = false;
    const cutover = execute({
      reportId,
      actor: 'operator',
      monitor: { seconds: 1, checks: 1 },
    }).finally(() => {
      over = true;
    });
    const [list, , creation, change] = shell.requests;
    if (!list || !creation || !change) throw new TypeError('a list, a new kit and a change');
    let n = 0;
    do {
      n += 1;
      const orderId = `during-${n}`;
      const made = await ask({
        ...creation,
        headers: { ...creation.headers, 'idempotency-key': orderId },
        body: JSON.stringify({ ...JSON.parse(creation.body ?? ''), kitNumber: `N-${n}`, orderId }),
      });
      expect(made).toMatchObject({ status: 201, body: { orderId } });
      const one = { ...list, url: `${creation.url}/${made.body.id}` };
      expect(await ask(one)).toEqual({ status: 200, body: made.body });
      expect(await ask({ ...change, body: JSON.stringify({ orderId }) })).toMatchObject({
        status: 200,
        body: { orderId },
      });
      expect(await ask({ ...list, url: change.url })).toMatchObject({ body: { orderId } });
    } while (!over);
    expect(await cutover).toMatchObject({ status: 'SUCCEEDED' });
    expect(n).toBeGreaterThan(5);
    sfn.destroy();
    lambda.destroy();
  });

  it('ends at Ctrl-C, and goes on later with its data, flags and tokens', async () => {
    const name = '/unified-kits/local/shadow-reads';
    const first = clientOf(SSMClient);
    await first.send(new PutParameterCommand({ Name: name, Value: '25', Overwrite: true }));
    first.destroy();
    const { code, errors, output } = await end();
    expect(errors).toBe('');
    expect(output).toContain('stopping');
    expect(code).toBe(0);

    const old = shell;
    shell = await serve();
    expect(serving.output()).not.toContain('seeded');
    expect(serving.output()).toContain('stage   closed');
    const second = clientOf(SSMClient);
    const { Parameter } = await second.send(new GetParameterCommand({ Name: name }));
    second.destroy();
    expect(Parameter?.Value).toBe('25');
    const [list, , creation] = old.requests;
    if (!list || !creation) throw new TypeError('a list and a new kit');
    expect(await ask(list)).toMatchObject({ status: 200 });
    // Still the kit of the first time, for the key is the same.
    expect(await ask(creation)).toMatchObject({
      status: 201,
      body: { kitNumber: 'EXAMPLE-CLIENT', ownerType: 'client' },
    });
    expect((await end()).code).toBe(0);
  });
});

describe('npm start -- serve on a given database', () => {
  it('shows and takes what its mapping allows, and seeds nothing', async () => {
    const home = freshHome();
    const clinic = await clinicDatabase();
    const ports = ['--port', String(await freePort()), '--aws-port', String(await freePort())];
    try {
      const serving = startAt(home, ['serve', ...ports], {
        DATABASE_URL: clinic.url,
        KITS_MAPPING: CLINIC_MAPPING,
      });
      await serving.shows(UP);
      const { requests } = printed(serving.output());
      expect(requests).toHaveLength(8);
      for (const request of requests)
        expect(await ask(request), request.url).toMatchObject({
          status: request.method === 'POST' ? 201 : 200,
        });
      const { rows } = await clinic.pool.query('select count(*)::int as n from app.kit');
      expect(rows[0].n).toBe(4_201);
      serving.signal('SIGINT');
      expect((await serving.ended).code).toBe(0);
    } finally {
      await clinic.drop();
      await rm(home, { recursive: true, force: true });
    }
  });
});
