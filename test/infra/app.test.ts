import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';
import { SETTINGS_KEY } from '../../infra/settings.ts';
import { CONTEXT, synthesise } from '../support/templates.ts';

const existing = {
  kind: 'existing',
  host: 'clinic.abc.eu-central-1.rds.amazonaws.com',
  databaseName: 'clinic',
  vpcId: 'vpc-0123456789abcdef0',
  subnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1', 'subnet-0123456789abcdef2'],
  securityGroupId: 'sg-0123456789abcdef0',
  migrationSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:migration-AbCdEf',
  serviceSecretArn: 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:service-AbCdEf',
};
const place = { account: '123456789012', region: 'eu-central-1' };
const { dev, prod } = z
  .object({
    [SETTINGS_KEY]: z.object({ dev: z.record(z.string(), z.unknown()), prod: z.looseObject({}) }),
  })
  .parse(CONTEXT)[SETTINGS_KEY];

describe('a synthesis', () => {
  it.each([
    ['of dev', dev],
    ['of prod', prod],
    ['in an account and region that are named', place],
    ['beside an existing database there', { ...place, database: existing }],
  ])('%s says nothing, and asks AWS for nothing', (_of, settings) => {
    const { app } = synthesise({ settings });
    const { manifest, stacks } = app.synth();
    expect(stacks).toHaveLength(3);
    expect(manifest.missing).toBeUndefined();
    for (const { stackName, messages } of stacks) expect(messages, stackName).toEqual([]);
  });
});

describe('the app', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'unified-kits-synth-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  /** Runs it as the CDK's command line does. */
  const run = (context: Readonly<Record<string, unknown>>) =>
    promisify(execFile)(process.execPath, ['infra/app.ts'], {
      cwd: ROOT,
      env: {
        PATH: process.env.PATH,
        CDK_OUTDIR: directory,
        CDK_CONTEXT_JSON: JSON.stringify({ ...CONTEXT, ...context }),
      },
    });

  it.each([
    [
      { environment: 'production' },
      /^SettingsInvalid: .*it has dev, prod\. Choose with -c environment=…\n$/,
    ],
    [
      { [SETTINGS_KEY]: { dev: { mapping: 'nowhere.ts' } } },
      /^MappingInvalid: mapping file .*nowhere\.ts cannot be loaded.*\n$/,
    ],
  ])('refuses %j with what to correct, and no trace', async (context, stderr) => {
    await expect(run(context)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(stderr),
    });
  });
});
