import {
  changeBody,
  createBody,
  kitPageSchema,
  type LegacyIdTypes,
  legacyKitSchema,
  type Mapping,
  unifiedKitSchema,
} from '@unified-kits/domain';
import { z } from 'zod';
import { PROBLEM_KINDS } from '../http/problem.ts';

/** Where a schema is found in the description. */
export const referenceTo = (name: string) => `#/components/schemas/${name}`;

const problem = z
  .strictObject({
    type: z.enum(PROBLEM_KINDS.map((kind) => `/problems/${kind}`)),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().optional().describe('What is wrong and what to do about it.'),
    instance: z.string().optional().describe('Names this occurrence, for support.'),
    errors: z
      .array(
        z.strictObject({
          pointer: z.string().describe('A JSON pointer into the body (RFC 6901).'),
          detail: z.string(),
        }),
      )
      .optional(),
  })
  .describe('A problem document (RFC 9457).');

const gatewayRefusal = z
  .strictObject({ message: z.string() })
  .describe('What the gateway answers by itself, before the API is asked.');

type OfClient = z.ZodObject<{ ownerType: z.ZodLiteral<'client'> }>;
type OfPractitioner = z.ZodObject<{ ownerType: z.ZodLiteral<'practitioner'> }>;

/** Either of two schemas, as `ownerType` says; for clients that generate code the names are told. */
const byOwner = (variants: Readonly<Record<string, z.ZodObject>>) => {
  const [client, practitioner] = Object.values(variants);
  const [ofClient, ofPractitioner] = Object.keys(variants).map(referenceTo);
  return z
    .discriminatedUnion('ownerType', [client as OfClient, practitioner as OfPractitioner])
    .meta({
      discriminator: {
        propertyName: 'ownerType',
        mapping: { client: ofClient, practitioner: ofPractitioner },
      },
    });
};

/**
 * Every body of the API under the name that its description gives it: requests as they are parsed, responses
 * as they are written.
 */
export const apiSchemas = (mapping: Mapping, idTypes: LegacyIdTypes) => {
  const legacy = {
    LegacyClientKit: legacyKitSchema(mapping, 'kit', idTypes.kit),
    LegacyPractitionerKit: legacyKitSchema(mapping, 'practitioner_kits', idTypes.practitioner_kits),
  };
  const unified = {
    ClientKit: unifiedKitSchema(mapping, 'kit'),
    PractitionerKit: unifiedKitSchema(mapping, 'practitioner_kits'),
  };
  const births = {
    NewClientKit: createBody(mapping, 'kit', 'v2'),
    NewPractitionerKit: createBody(mapping, 'practitioner_kits', 'v2'),
  };
  const changes = {
    ClientKitChange: changeBody(mapping, 'kit', 'v2'),
    PractitionerKitChange: changeBody(mapping, 'practitioner_kits', 'v2'),
  };
  const Kit = byOwner(unified);
  return {
    ...legacy,
    LegacyClientKitPage: kitPageSchema(legacy.LegacyClientKit),
    LegacyPractitionerKitPage: kitPageSchema(legacy.LegacyPractitionerKit),
    NewLegacyClientKit: createBody(mapping, 'kit', 'legacy'),
    NewLegacyPractitionerKit: createBody(mapping, 'practitioner_kits', 'legacy'),
    LegacyClientKitChange: changeBody(mapping, 'kit', 'legacy'),
    LegacyPractitionerKitChange: changeBody(mapping, 'practitioner_kits', 'legacy'),
    ...unified,
    Kit,
    KitPage: kitPageSchema(Kit),
    ...births,
    NewKit: byOwner(births),
    ...changes,
    KitChange: z
      .union([changes.ClientKitChange, changes.PractitionerKitChange])
      .describe('Of these, the one of the kit that is changed.'),
    Problem: problem,
    GatewayRefusal: gatewayRefusal,
  };
};
export type ApiSchemas = ReturnType<typeof apiSchemas>;
export type SchemaName = keyof ApiSchemas;
