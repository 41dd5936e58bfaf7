import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';
import { type LocalAws, startLocalAws } from '../../infra/local/aws/start.ts';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';
import { type ReportStore, startReportStore } from '../../infra/local/report-store.ts';
import {
  FUNCTION_PLACEHOLDERS,
  loadWorkflow,
  WORKFLOWS,
  type Workflow,
} from '../../infra/workflows/load-workflow.ts';
import { type Deployed, layOut } from '../support/deployed.ts';
import { type SecretsManager, secretsManager } from '../support/secrets-manager.ts';
import { startTlsPostgres, type TlsPostgres } from '../support/tls-postgres.ts';

const FUNCTIONS = Object.keys(FUNCTION_PLACEHOLDERS);
const API = 'phase4-api';
const SECRET = 'unified-kits/test/migration';
const SERVICE_SECRET = 'unified-kits/test/service';
const ROWS = 60;

const SEED = `
insert into users select md5('user' || n)::uuid from generate_series(0, 9) n;
insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || n)::uuid from generate_series(0, 4) n;
insert into kit (kit_number, user_id, status) select 'K' || n, md5('user' || n % 10)::uuid, 'registered' from generate_series(1, ${ROWS}) n;
insert into practitioner_kits (kit_number, practitioner_id, status) select 'P' || n, md5('practitioner' || n % 5)::uuid, 'sampled' from generate_series(1, ${ROWS}) n;
analyze kit; analyze practitioner_kits;
`;

/** A server that knows one secret, and the Parameter Store and Step Functions, at one address. */
const oneAddress = async (secrets: string, others: string) => {
  const server = createServer((incoming, outgoing) => {
    const target = String(incoming.headers['x-amz-target'] ?? '');
    const { hostname, port } = new URL(target.startsWith('secretsmanager') ? secrets : others);
    const { method, url, headers } = incoming;
    const onward = request({ hostname, port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, close: () => server.close() };
};

let postgres: TlsPostgres;
let secrets: SecretsManager;
let aws: LocalAws;
let address: Awaited<ReturnType<typeof oneAddress>>;
let deployed: Deployed;
let sfn: SFNClient;
let variables: Record<string, string>;
let reports: ReportStore;
const machines = new Map<Workflow, string>();

/** Gives the migration's login another password, in the database and in its secret. */
const rotate = async (password: string) => {
  await postgres.query(`alter role kits_migration password '${password}'`);
  secrets.secrets.set(SECRET, JSON.stringify({ username: 'kits_migration', password }));
};

beforeAll(async () => {
  postgres = await startTlsPostgres();
  // As an organisation has it: a role that owns the tables, and is nobody's login.
  await postgres.query('create role legacy_owner nologin');
  await postgres.query('grant create on schema public to legacy_owner');
  await postgres.query(`set role legacy_owner; ${REFERENCE_SCHEMA}; ${SEED}; reset role`);
  await postgres.query(readFileSync(join(ROOT, 'infra', 'roles.sql'), 'utf8'));
  secrets = await secretsManager();
  await rotate('the first');
  await postgres.query(`alter role kits_service password 'of the service'`);
  secrets.secrets.set(
    SERVICE_SECRET,
    JSON.stringify({ username: 'kits_service', password: 'of the service' }),
  );

  aws = await startLocalAws({ waitScale: 0.01 });
  address = await oneAddress(secrets.endpoint, aws.endpoint);
  reports = await startReportStore(aws);
  variables = {
    DATABASE_URL: `postgres://localhost:${postgres.port}/postgres`,
    DATABASE_SECRET_ID: SECRET,
    KITS_ENVIRONMENT: 'test',
    NODE_EXTRA_CA_CERTS: join(ROOT, 'test', 'fixtures', 'tls', 'ca.pem'),
    AWS_ENDPOINT_URL: address.endpoint,
    AWS_ENDPOINT_URL_S3: reports.endpoint,
    REPORT_BUCKET: reports.bucket,
    AWS_REGION: aws.region,
    AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
  };
  deployed = layOut([...FUNCTIONS, API]);
  for (const name of FUNCTIONS)
    aws.registerFunction(aws.functionArn(name), async (event) => {
      const outcome = await deployed.invoke(name, event, variables);
      if ('result' in outcome) return outcome.result;
      throw Object.assign(new Error(outcome.error.message), { name: outcome.error.name });
    });
  for (const workflow of WORKFLOWS)
    machines.set(
      workflow,
      aws.registerStateMachine({
        name: workflow,
        definition: loadWorkflow(workflow, aws.functionArn),
      }),
    );
  sfn = new SFNClient({
    endpoint: aws.endpoint,
    region: aws.region,
    credentials: aws.credentials,
  });
});
afterAll(async () => {
  sfn?.destroy();
  await aws?.stop();
  address?.close();
  await reports?.stop();
  await secrets?.close();
  deployed?.remove();
  await postgres?.stop();
});

const execute = async (workflow: Workflow, input: Readonly<Record<string, unknown>>) => {
  const { executionArn } = await sfn.send(
    new StartExecutionCommand({
      stateMachineArn: machines.get(workflow),
      input: JSON.stringify({ actor: 'operator', ...input }),
    }),
  );
  for (;;) {
    const { status, output, error, cause } = await sfn.send(
      new DescribeExecutionCommand({ executionArn }),
    );
    if (status === 'SUCCEEDED') return JSON.parse(output ?? '');
    if (status !== 'RUNNING') throw new Error(`${status}: ${error} ${cause}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
};

/** A client's request, as API Gateway hands it on once it has accepted the token. */
const ask = async (method: string, rawPath: string, body?: unknown) => {
  const [client] = await postgres.query(`select md5('user1')::uuid::text as id`);
  const event = {
    version: '2.0',
    routeKey: 'ANY /{proxy+}',
    rawPath,
    rawQueryString: '',
    headers: { 'content-type': 'application/json' },
    requestContext: {
      http: { method, path: rawPath },
      requestId: 'request',
      authorizer: { jwt: { claims: { sub: client?.id } } },
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    isBase64Encoded: false,
  };
  const outcome = await deployed.invoke(API, event, {
    ...variables,
    DATABASE_SECRET_ID: SERVICE_SECRET,
  });
  if ('error' in outcome) throw new Error(`${outcome.error.name}: ${outcome.error.message}`);
  const answer = z
    .object({ statusCode: z.number(), body: z.string() })
    .transform((given) => ({ status: given.statusCode, body: JSON.parse(given.body) }))
    .parse(outcome.result);
  return answer;
};

const stage = async () => (await postgres.query('select stage from migration.stage'))[0]?.stage;

it('migrates and comes back as it is deployed: bundles, layers, a login from a secret that is rotated, TLS, two connections', async () => {
  const { analysisId, digest } = await execute('cutover', { mode: 'analyse' });
  const approved = await deployed.invoke(
    'phase0-analysis',
    { action: 'approve', reportId: analysisId, digest, actor: 'operator' },
    variables,
  );
  expect(approved).toMatchObject({ result: { reportId: analysisId } });
  await rotate('the second');
  const closing = await execute('cutover', {
    reportId: analysisId,
    monitor: { seconds: 1, checks: 1 },
    until: 'dual-write',
  });
  expect(closing).toMatchObject({ stage: 'dual-write' });
  expect(await stage()).toBe('dual-write');

  // The service's own login, with no right but its rows, serves from kits by now.
  const made = await ask('POST', '/kits', { kitNumber: 'BORN-THERE' });
  expect(made).toMatchObject({ status: 201, body: { kitNumber: 'BORN-THERE' } });
  const kits = await postgres.query('select count(*)::int as count from kits');
  expect(kits).toEqual([{ count: 2 * ROWS + 1 }]);

  const { batchId } = await execute('rollback', {});
  expect(await stage()).toBe('legacy');
  expect(await reports.read(`reports/${analysisId}.html`)).toContain('GO, awaiting approval');
  expect(await reports.read(`reports/${batchId}.html`)).toContain('Proof of the rollback');
  expect(await ask('GET', `/kits/${made.body.id}`)).toMatchObject({
    status: 200,
    body: { kitNumber: 'BORN-THERE', kitsId: made.body.kitsId },
  });
});
