import { fileURLToPath } from 'node:url';

const layer = (name: string): string =>
  fileURLToPath(new URL(`../../layers/${name}/src/index.ts`, import.meta.url));

/**
 * Stryker mutates a copy of the checkout that has the checkout's own `node_modules`, in which the layers
 * are links to the layers that are not mutated. These aliases lead to those of the copy.
 */
export const ownLayers = {
  '@unified-kits/domain': layer('domain'),
  '@unified-kits/data': layer('data'),
};
