import { z } from 'zod';
import { digest } from '../canonical-json.ts';
import { MappingInvalid } from '../errors.ts';
import { type Mapping, type MappingInput, mappingSchema, SOURCES } from './schema.ts';

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

/**
 * The digest of what the migration does. Left out is what the API shows: that may change while a batch is
 * active, and no report has to be signed anew for it.
 */
export const mappingDigest = (mapping: Mapping): string =>
  digest({
    ...mapping,
    sources: Object.fromEntries(
      SOURCES.map((source) => {
        const { api: _api, ...migrated } = mapping.sources[source];
        return [source, migrated];
      }),
    ),
  });
