import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { referenceMapping } from '@unified-kits/domain';
import type { Metafile } from 'esbuild';
import { bundleFunction, bundleLayer } from '../../infra/code/bundle.ts';
import { LAYER_NAMES, ROOT } from '../../infra/code/layers.ts';

/** Every function there is, by its folder. */
export const FUNCTION_FOLDERS: readonly string[] = readdirSync(join(ROOT, 'functions'), {
  recursive: true,
  encoding: 'utf8',
})
  .filter((path) => /^[^/\\]+[/\\]handler\.ts$/.test(path))
  .map((path) => path.replace(/[/\\]handler\.ts$/, ''))
  .sort();

/** What a Lambda's process did with an event. */
export type Outcome =
  | { readonly result: Record<string, unknown> }
  | { readonly error: { readonly name: string; readonly message: string } };

/** Functions as Lambda lays them out: bundle in `/var/task`, all layers merged in `/opt`, below a folder each. */
export interface Deployed {
  readonly metafiles: ReadonlyMap<string, Metafile>;
  /** Where the layers were merged. */
  readonly opt: string;
  /** Runs a module's text in a process of its own that knows nothing of the repository; its output. */
  run(
    folder: string,
    module: string,
    variables?: Readonly<Record<string, string>>,
  ): Promise<string>;
  invoke(
    folder: string,
    event: unknown,
    variables: Readonly<Record<string, string>>,
  ): Promise<Outcome>;
  remove(): void;
}

/** What Lambda's runtime does with a handler, as far as our handlers see. */
const invocation = (event: unknown): string => `
  import { handler } from './var/task/index.mjs';
  const context = { awsRequestId: 'request', getRemainingTimeInMillis: () => 60_000 };
  const tell = (outcome) => process.stdout.write('\\n' + JSON.stringify(outcome), () => process.exit());
  handler(${JSON.stringify(event)}, context).then(
    (result) => tell({ result }),
    ({ name, message }) => tell({ error: { name, message } }),
  );
`;

export const layOut = (folders: readonly string[] = FUNCTION_FOLDERS): Deployed => {
  const root = mkdtempSync(join(tmpdir(), 'unified-kits-lambda-'));
  const opt = join(root, 'opt');
  for (const layer of LAYER_NAMES) bundleLayer(layer, opt);
  writeFileSync(join(opt, 'mapping.json'), JSON.stringify(referenceMapping));
  const metafiles = new Map(
    folders.map((folder) => {
      cpSync(opt, join(root, folder, 'opt'), { recursive: true });
      return [
        folder,
        bundleFunction(`./functions/${folder}/handler.ts`, join(root, folder, 'var', 'task')),
      ];
    }),
  );
  const run: Deployed['run'] = async (folder, module, variables = {}) => {
    const home = join(root, folder);
    mkdirSync(home, { recursive: true });
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--enable-source-maps', '--input-type=module', '--eval', module],
      { cwd: home, env: { KITS_MAPPING: join(home, 'opt', 'mapping.json'), ...variables } },
    );
    return stdout;
  };
  return {
    metafiles,
    opt,
    run,
    async invoke(folder, event, variables) {
      const lines = (await run(folder, invocation(event), variables)).trimEnd().split('\n');
      return JSON.parse(lines.at(-1) ?? '');
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
};
