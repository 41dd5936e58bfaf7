import { createBody, type LegacyIdTypes, type Mapping } from '@unified-kits/domain';
import { z } from 'zod';

/** The API's description. */
export const openApi = (mapping: Mapping, _idTypes: LegacyIdTypes): object => ({
  openapi: '3.1.0',
  schema: z.toJSONSchema(createBody(mapping, 'kit', 'legacy')),
});
