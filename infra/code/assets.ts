import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mapping } from '@unified-kits/domain';
import { AssetHashType, DockerImage } from 'aws-cdk-lib';
import { Code } from 'aws-cdk-lib/aws-lambda';
import { bundleFunction, bundleLayer } from './bundle.ts';
import { type LayerName, ROOT } from './layers.ts';

/**
 * Code that is built when its stack is synthesised, and not when bundling is switched off for it. Its hash
 * is that of what was built, so a deployment of the same code changes nothing.
 *
 * @param source a folder that stands for the code where it is not built
 */
const built = (source: string, build: (outputDirectory: string) => void): Code =>
  Code.fromAsset(join(ROOT, source), {
    assetHashType: AssetHashType.OUTPUT,
    bundling: {
      // Asked for by the type; what is built here is never built again in a container.
      image: DockerImage.fromRegistry('none'),
      local: {
        tryBundle: (outputDirectory) => {
          build(outputDirectory);
          return true;
        },
      },
    },
  });

/** @param folder below `functions/` */
export const functionCode = (folder: string): Code =>
  built(`functions/${folder}`, (directory) =>
    bundleFunction(`./functions/${folder}/handler.ts`, directory),
  );

export const layerCode = (layer: LayerName): Code =>
  built(`layers/${layer}`, (directory) => bundleLayer(layer, directory));

/** What an organisation's own layer has in it. */
export interface OwnFiles {
  /** Validated when it was loaded: a fault in it never gets as far as AWS. */
  readonly mapping: Mapping;
  /** Certificate authorities to trust beside RDS', as PEM. */
  readonly authorities?: string | undefined;
}

const FILES = { mapping: 'mapping.json', authorities: 'authorities.pem' };

/** Where a function finds its mapping, and the authorities, if there are any. */
export const MAPPING_FILE = `/opt/${FILES.mapping}`;
export const AUTHORITIES_FILE = `/opt/${FILES.authorities}`;

export const writeOwnFiles = ({ mapping, authorities }: OwnFiles, directory: string): void => {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, FILES.mapping), JSON.stringify(mapping));
  if (authorities !== undefined) writeFileSync(join(directory, FILES.authorities), authorities);
};

export const ownCode = (files: OwnFiles): Code =>
  built('layers/domain/src/mapping', (directory) => writeOwnFiles(files, directory));
