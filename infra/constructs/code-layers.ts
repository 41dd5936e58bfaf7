import { Architecture, type Code, LayerVersion, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import { layerCode, type OwnFiles, ownCode } from '../code/assets.ts';
import { LAYER_NAMES } from '../code/layers.ts';

/**
 * The layers that every function of a stack has. Each stack makes its own: a layer's ARN changes with its
 * content, and one that another stack imports could not change any more.
 */
export class CodeLayers extends Construct {
  readonly all: readonly LayerVersion[];

  constructor(scope: Construct, id: string, files: OwnFiles) {
    super(scope, id);
    const layer = (name: string, code: Code, description: string) =>
      new LayerVersion(this, name, {
        code,
        description,
        compatibleRuntimes: [Runtime.NODEJS_24_X],
        compatibleArchitectures: [Architecture.ARM_64],
      });
    this.all = [
      ...LAYER_NAMES.map((name) => layer(name, layerCode(name), `unified-kits: layers/${name}`)),
      layer('mapping', ownCode(files), 'unified-kits: the mapping'),
    ];
  }
}
