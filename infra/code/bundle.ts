import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type BuildOptions, buildSync, type Metafile } from 'esbuild';
import { LAYER_MODULES, LAYERS, type LayerName, ROOT, SHARED_PACKAGES } from './layers.ts';

/**
 * Where a bundle at `/var/task/index.mjs` finds the layers. Node resolves bare names in ES modules through
 * `node_modules` beside and above the importer only, and `/opt` is neither; between the packages of the
 * layers, which lie side by side, bare names work.
 */
const OPT = '../../opt';

/** CommonJS packages ask for node's own modules by `require`. */
const REQUIRE =
  "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/** Builds `index.mjs` and its source map from an entry, the same bytes wherever they are written. */
const bundle = (
  entry: string,
  outputDirectory: string,
  options: Pick<BuildOptions, 'alias' | 'external'>,
): Metafile => {
  const { outputFiles, metafile } = buildSync({
    ...options,
    entryPoints: [entry],
    absWorkingDir: ROOT,
    // Maps name sources relative to their own place, so that is fixed, and the files are written elsewhere.
    outfile: 'index.mjs',
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // The SDK has both forms; only ES modules can be tree-shaken.
    mainFields: ['module', 'main'],
    banner: { js: REQUIRE },
    minify: true,
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'error',
    metafile: true,
  });
  mkdirSync(outputDirectory, { recursive: true });
  for (const { path, contents } of outputFiles)
    writeFileSync(join(outputDirectory, basename(path)), contents);
  return metafile;
};

/**
 * Bundles one function into `index.mjs`. What ships in layers is imported from where Lambda lays it out.
 *
 * @param entry the module that exports `handler`, relative to the repository's root
 * @returns what went into the bundle
 */
export const bundleFunction = (entry: string, outputDirectory: string): Metafile =>
  bundle(entry, outputDirectory, {
    alias: Object.fromEntries(
      SHARED_PACKAGES.map((name) => [name, `${OPT}/${LAYER_MODULES}/${name}/index.mjs`]),
    ),
    external: [`${OPT}/*`],
  });

/** Bundles the packages of one layer, each into one module, as Lambda expects them below `/opt`. */
export const bundleLayer = (layer: LayerName, outputDirectory: string): void => {
  for (const [name, entry] of Object.entries(LAYERS[layer])) {
    const directory = join(outputDirectory, LAYER_MODULES, name);
    const others = SHARED_PACKAGES.filter((other) => other !== name);
    // Drivers that pg would load where they are installed.
    bundle(entry, directory, { external: [...others, 'pg-native', 'pg-cloudflare'] });
    writeFileSync(
      join(directory, 'package.json'),
      `${JSON.stringify({ name, type: 'module', exports: './index.mjs' })}\n`,
    );
  }
};
