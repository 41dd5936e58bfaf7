import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { ROOT } from '../../infra/code/layers.ts';

export const REGION = 'us-east-1';
const ACCOUNT = '000000000000';
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

/** What SDK clients of the tests are given. */
export const clientOptions = (endpoint: URL) => ({
  endpoint: endpoint.href,
  region: REGION,
  credentials: CREDENTIALS,
});

/** The CDK's command line against an emulator: what it is not told of the environment it cannot use by mistake. */
export class CdkCli {
  readonly #environment: Readonly<Record<string, string>>;
  readonly #home: string;

  constructor(endpoint: URL) {
    this.#home = mkdtempSync(join(tmpdir(), 'unified-kits-cdk-'));
    this.#environment = {
      PATH: `${join(ROOT, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`,
      // Neither profiles nor cached logins of whoever runs this.
      HOME: this.#home,
      AWS_ENDPOINT_URL: endpoint.href,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_EC2_METADATA_DISABLED: 'true',
      CDK_DISABLE_VERSION_CHECK: '1',
      CI: '1',
    };
  }

  bootstrap(): Promise<void> {
    return this.#run('bootstrap', `aws://${ACCOUNT}/${REGION}`, '--app', 'true');
  }

  /** @returns the outputs of the stacks, by stack. */
  async deploy(app: string, context: Readonly<Record<string, unknown>> = {}) {
    const outputs = join(this.#home, 'outputs.json');
    const given = Object.entries(context).flatMap(([key, value]) => [
      '--context',
      `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    ]);
    await this.#run(
      'deploy',
      '--all',
      ...['--app', app, '--output', join(this.#home, 'cdk.out'), '--outputs-file', outputs],
      ...['--require-approval', 'never', ...given],
    );
    return z
      .record(z.string(), z.record(z.string(), z.string()))
      .parse(JSON.parse(readFileSync(outputs, 'utf8')));
  }

  remove(): void {
    rmSync(this.#home, { recursive: true, force: true });
  }

  async #run(...parameters: readonly string[]): Promise<void> {
    await promisify(execFile)('cdk', [...parameters], {
      cwd: ROOT,
      env: { ...this.#environment },
      maxBuffer: 64 * 1024 * 1024,
    });
  }
}
