import { readFile } from 'node:fs/promises';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Mapping, MappingInvalid, parseMapping, referenceMapping } from '@unified-kits/domain';

const MODULES = ['.ts', '.mts', '.js', '.mjs'];

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

const readJson = async (path: string): Promise<unknown> => {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new MappingInvalid(`mapping file ${path} cannot be read: ${reasonOf(error)}`, {
      cause: error,
    });
  }
};

/** Whatever a mapping module throws while it is loaded is a fault of the file. */
const readModule = async (path: string): Promise<unknown> => {
  let loaded: Readonly<Record<string, unknown>>;
  try {
    loaded = await import(pathToFileURL(path).href);
  } catch (error) {
    throw new MappingInvalid(`mapping file ${path} cannot be loaded: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  if (loaded.default === undefined)
    throw new MappingInvalid(
      `mapping file ${path} has no default export: write "export default defineMapping({ … })"`,
    );
  return loaded.default;
};

/**
 * Loads the mapping: the file named, else the one that `KITS_MAPPING` names, else the reference schema's.
 *
 * @param path a .ts, .mts, .js or .mjs module with a default export, or a .json file, relative to the
 *   working directory
 * @throws {MappingInvalid} naming the file and what is wrong with it, every fault at once.
 */
export const loadMapping = async (path = process.env.KITS_MAPPING): Promise<Mapping> => {
  if (path === undefined || path === '') return referenceMapping;
  const file = resolve(path);
  const extension = extname(file);
  if (extension !== '.json' && !MODULES.includes(extension))
    throw new MappingInvalid(
      `mapping file ${file}: a mapping is a ${MODULES.join(', ')} or .json file`,
    );
  const content = extension === '.json' ? await readJson(file) : await readModule(file);
  try {
    return parseMapping(content);
  } catch (error) {
    if (!(error instanceof MappingInvalid)) throw error;
    throw new MappingInvalid(`mapping file ${file} is not valid:\n${error.message}`, {
      cause: error,
    });
  }
};
