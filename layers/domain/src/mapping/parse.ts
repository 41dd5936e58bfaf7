import { z } from 'zod';
import { MappingInvalid } from '../errors.ts';
import { type Mapping, type MappingInput, mappingSchema } from './schema.ts';

/**
 * Validates a mapping and fills in its defaults.
 *
 * @throws {MappingInvalid} naming every fault at once, with its path in the file.
 */
export const parseMapping = (input: unknown): Mapping => {
  const result = mappingSchema.safeParse(input);
  if (!result.success) throw new MappingInvalid(z.prettifyError(result.error));
  return result.data;
};

/** Gives a mapping file its types in an editor; the file is validated when it is loaded. */
export const defineMapping = (mapping: MappingInput): MappingInput => mapping;
