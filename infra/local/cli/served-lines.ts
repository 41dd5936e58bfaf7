import { resolve } from 'node:path';
import type { Binding } from '@unified-kits/data';
import type { Caller, Source } from '@unified-kits/domain';
import type { System } from '../system.ts';
import { type ApiAnswer, apiClient } from '../writers/api-client.ts';
import { kitsPath } from '../writers/api-kit.ts';
import type { PlannedKit } from '../writers/plan.ts';
import { tokenFields } from '../writers/written-fields.ts';
import { ENVIRONMENT } from './run.ts';

/** A kit of each source with its owner, where there is one. */
export type Owners = Readonly<Record<Source, PlannedKit | undefined>>;

interface Served {
  readonly system: System;
  readonly binding: Binding;
  readonly owners: Owners;
  readonly stage: string;
  readonly logFile: string;
  /** Where the system keeps its state; undefined for the default. */
  readonly dataDirectory: string | undefined;
}

const TOKEN_HOURS = 12;
const JSON_BODY = "-H 'content-type: application/json'";
const VARIABLES: Readonly<Record<Source, string>> = {
  kit: 'CLIENT',
  practitioner_kits: 'PRACTITIONER',
};
const WHO: Readonly<Record<Source, string>> = {
  kit: 'client',
  practitioner_kits: 'practitioner',
};

/** A text as a shell takes it unchanged. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

const callerOf = ({ userId, practitionerId }: PlannedKit): Caller => ({ userId, practitionerId });

/** What a new kit may look like: a kit type, where kits have one, is one that exists. */
const exampleBody = (
  binding: Binding,
  { source }: PlannedKit,
  { body }: ApiAnswer,
): Readonly<Record<string, unknown>> => {
  const [token] = tokenFields(binding.sources[source]);
  return {
    kitNumber: `EXAMPLE-${WHO[source].toUpperCase()}`,
    ...(typeof body.kitType === 'string' ? { kitType: body.kitType } : {}),
    ...(token === undefined ? {} : { [token]: 'EXAMPLE-1' }),
  };
};

/** Requests that work as they stand: a list, a new kit (once, however often it is asked for), a change. */
const curlLines = async (
  { system: { api }, binding }: Served,
  kit: PlannedKit,
): Promise<string[]> => {
  if (api === undefined) return [];
  const caller = callerOf(kit);
  const path = kitsPath({ source: kit.source, caller }, 'legacy');
  const one = `${path}/${encodeURIComponent(kit.key)}`;
  const shown = await apiClient(api, () => {}).send(
    caller,
    { method: 'GET', path: one },
    { meant: [200] },
  );
  const bearer = `-H "authorization: Bearer $${VARIABLES[kit.source]}"`;
  const list = (at: string) => `curl -sw '\\n' "$API${at}?limit=2" ${bearer}`;
  if (shown === undefined) return [list(path)];
  const body = exampleBody(binding, kit, shown);
  const { kitNumber: _number, kitType: _type, ...change } = body;
  return [
    list(path),
    list('/v2/kits'),
    `curl -siw '\\n' "$API${path}" ${bearer} \\`,
    `  ${JSON_BODY} -H 'idempotency-key: example-${WHO[kit.source]}' \\`,
    `  -d ${quoted(JSON.stringify(body))}`,
    ...(Object.keys(change).length === 0
      ? []
      : [
          `curl -sw '\\n' -X PATCH "$API${one}" ${bearer} \\`,
          `  ${JSON_BODY} -d ${quoted(JSON.stringify(change))}`,
        ]),
  ];
};

/** With the option that finds this system, where that is not the default. */
const kitsLines = (dataDirectory: string | undefined): string[] => {
  const kits = `npx kits${dataDirectory === undefined ? '' : ` --data-dir ${quoted(resolve(dataDirectory))}`}`;
  return [`${kits} analyse`, `${kits} approve …`, `${kits} cutover`, `${kits} status --watch`];
};

const operatorLines = ({ aws, stateMachineArns, service }: System): string[] => {
  const { accessKeyId, secretAccessKey } = aws.credentials;
  const start = (input: object, machine = '"$CUTOVER"') =>
    `aws stepfunctions start-execution --state-machine-arn ${machine} \\\n  --input ${quoted(JSON.stringify(input))}`;
  return [
    `export AWS_ENDPOINT_URL=${aws.endpoint} AWS_REGION=${aws.region}`,
    ...(service === undefined ? [] : [`export AWS_ENDPOINT_URL_SQS=${service.queues.endpoint}`]),
    `export AWS_ACCESS_KEY_ID=${accessKeyId} AWS_SECRET_ACCESS_KEY=${secretAccessKey}`,
    `export CUTOVER=${stateMachineArns.cutover}`,
    `export ROLLBACK=${stateMachineArns.rollback}`,
    start({ mode: 'analyse', actor: 'you' }),
    'aws stepfunctions describe-execution --execution-arn … --query output',
    `aws lambda invoke --function-name unified-kits-${ENVIRONMENT}-phase0-analysis \\`,
    '  --cli-binary-format raw-in-base64-out /dev/stdout --payload \\',
    `  ${quoted('{"action":"approve","reportId":"…","digest":"…","actor":"you"}')}`,
    start({ reportId: '…', actor: 'you', monitor: { seconds: 1, checks: 10 } }),
    `aws ssm get-parameters-by-path --path /unified-kits/${ENVIRONMENT}`,
    `aws ssm put-parameter --overwrite --name /unified-kits/${ENVIRONMENT}/shadow-reads \\\n  --value 100`,
    start({ actor: 'you' }, '"$ROLLBACK"'),
  ];
};

/** How to use and to operate a system that is up; `logFile` is where its functions write. */
export const servedLines = async (served: Served): Promise<string[]> => {
  const { system, owners, stage, logFile, dataDirectory } = served;
  const { api, aws } = system;
  if (api === undefined) throw new TypeError('a system that serves has an API');
  const kits = [owners.kit, owners.practitioner_kits].filter((kit) => kit !== undefined);
  const tokens = await Promise.all(
    kits.map(
      async ({ source, userId, practitionerId }) =>
        `export ${VARIABLES[source]}=${await api.token({
          userId,
          ...(practitionerId === undefined ? {} : { practitionerId }),
          expiresInSeconds: TOKEN_HOURS * 3_600,
        })}`,
    ),
  );
  const requests = await Promise.all(kits.map((kit) => curlLines(served, kit)));
  return [
    '',
    `  API     ${api.url}, described at /openapi.json`,
    `  AWS     ${aws.endpoint}: SSM, Step Functions, Lambda`,
    `  stage   ${stage}`,
    `  log     ${logFile}`,
    '',
    kits.length === 0
      ? '# No kit has an owner, so there is nobody to ask as.'
      : `# Tokens of owners who have kits, good for ${TOKEN_HOURS} hours:`,
    `export API=${api.url}`,
    ...tokens,
    ...kits.flatMap(({ source }, index) => [
      '',
      `# As the ${WHO[source]}:`,
      ...(requests[index] ?? []),
    ]),
    '',
    '# As the operator (--help tells all of it; each says what comes next):',
    ...kitsLines(dataDirectory),
    '',
    '# The same with the AWS CLI (an SDK takes the same endpoint, region and keys):',
    ...operatorLines(system),
    '',
    'Ctrl-C ends it; data, flags and the key of the tokens are kept.',
  ];
};
