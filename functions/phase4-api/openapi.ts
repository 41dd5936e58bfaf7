import type { LegacyIdTypes, Mapping, OwnerIdType } from '@unified-kits/domain';
import { z } from 'zod';
import { apiSchemas, referenceTo, type SchemaName } from './openapi/api-schemas.ts';
import { PARAMETERS, RESPONSE_HEADERS } from './openapi/headers.ts';
import {
  OPERATIONS,
  type Operation,
  type OperationResponse,
  type PathParameter,
} from './openapi/operations.ts';

const reference = (name: SchemaName) => ({ $ref: referenceTo(name) });

/** The bodies as JSON Schema, each one under its name and referred to by it. */
const componentSchemas = (mapping: Mapping, idTypes: LegacyIdTypes): Record<string, object> => {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(apiSchemas(mapping, idTypes)))
    registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    uri: referenceTo,
    io: 'input',
    // A number of any size is checked by code, and says itself what it is.
    unrepresentable: 'any',
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _, $id: __, ...schema }]) => [name, schema]),
  );
};

const OWNER_ID_SCHEMAS: Readonly<Record<OwnerIdType, object>> = {
  uuid: { type: 'string', format: 'uuid' },
  integer: { type: 'integer', format: 'int32' },
  bigint: { type: 'integer', format: 'int64' },
  text: { type: 'string' },
};

const pathParameter = (
  { path }: Operation,
  { name, description }: PathParameter,
  { target }: Mapping,
  idTypes: LegacyIdTypes,
) => {
  const schemas = {
    kitsId: OWNER_ID_SCHEMAS.uuid,
    practitionerId: OWNER_ID_SCHEMAS[target.practitionerIdType],
    id:
      idTypes[path.startsWith('/kits') ? 'kit' : 'practitioner_kits'] === 'integer'
        ? OWNER_ID_SCHEMAS.bigint
        : OWNER_ID_SCHEMAS.text,
  };
  return { name, in: 'path', required: true, description, schema: schemas[name] };
};

const response = ({ description, headers, bodies, problems }: OperationResponse) => {
  const types = problems.map((kind) => `/problems/${kind}`);
  const schemaOf = (name: SchemaName) =>
    name === 'Problem'
      ? { allOf: [reference(name), { type: 'object', properties: { type: { enum: types } } }] }
      : reference(name);
  const content = Object.entries(bodies).map(([mediaType, name]) => [
    mediaType,
    { schema: schemaOf(name) },
  ]);
  return {
    description,
    headers: Object.fromEntries(
      headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
    ),
    ...(content.length > 0 && { content: Object.fromEntries(content) }),
  };
};

/** Problems have the same response wherever they come: it is described once, under their names. */
const nameOf = ({ problems }: OperationResponse) => problems.join('.');

const problemResponses = () =>
  Object.fromEntries(
    OPERATIONS.flatMap(({ responses }) => Object.values(responses))
      .filter(({ problems }) => problems.length > 0)
      .map((one) => [nameOf(one), response(one)]),
  );

const operation = (described: Operation, mapping: Mapping, idTypes: LegacyIdTypes) => ({
  operationId: described.id,
  tags: [described.tag],
  summary: described.summary,
  ...(described.deprecated && { deprecated: true }),
  parameters: [
    ...described.pathParameters.map((parameter) =>
      pathParameter(described, parameter, mapping, idTypes),
    ),
    ...described.parameters.map((name) => ({ $ref: `#/components/parameters/${name}` })),
  ],
  ...(described.body !== undefined && {
    requestBody: {
      required: true,
      content: { 'application/json': { schema: reference(described.body) } },
    },
  }),
  responses: Object.fromEntries(
    Object.entries(described.responses).map(([status, one]) => [
      status,
      one.problems.length > 0 ? { $ref: `#/components/responses/${nameOf(one)}` } : response(one),
    ]),
  ),
});

const DESCRIPTION = `Kits of clients and of practitioners. The legacy routes keep their ids and their words; \`/v2/kits\` has one kind of id and one vocabulary for all. What is not the caller's is 404, whether it is there or not. A path that nobody serves is 404, and a method that a path does not have is 405 with \`Allow\`, each as a problem document. Every other problem is with the operation that may have it.`;

/** The API's description of itself, OpenAPI 3.1. */
export const openApi = (mapping: Mapping, idTypes: LegacyIdTypes) => {
  const byPath = Map.groupBy(OPERATIONS, ({ path }) => path);
  const paths = [...byPath].map(([path, operations]) => [
    path,
    Object.fromEntries(
      operations.map((one) => [one.method.toLowerCase(), operation(one, mapping, idTypes)]),
    ),
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Unified Kits',
      version: '1.0.0',
      description: DESCRIPTION,
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }],
    tags: [
      { name: 'kits', description: 'The routes that stay.' },
      { name: 'legacy', description: 'The routes that were there before. Deprecated.' },
    ],
    paths: {
      ...Object.fromEntries(paths),
      '/openapi.json': {
        get: {
          operationId: 'describe',
          tags: ['kits'],
          summary: 'This document.',
          security: [],
          responses: {
            200: {
              description: 'The description of this API.',
              headers: { 'cache-control': { $ref: '#/components/headers/cache-control' } },
              content: { 'application/json': { schema: { type: 'object' } } },
            },
          },
        },
      },
    },
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description:
            'The claim `sub` is the user; `practitioner_id` the practitioner whom the user is, if any.',
        },
      },
      parameters: PARAMETERS,
      headers: RESPONSE_HEADERS,
      responses: problemResponses(),
      schemas: componentSchemas(mapping, idTypes),
    },
  };
};

/** Made once for each mapping: anybody may ask for it, without a token. */
const texts = new WeakMap<Mapping, Map<string, string>>();

/** The same as JSON text. */
export const openApiText = (mapping: Mapping, idTypes: LegacyIdTypes): string => {
  const ofMapping = texts.get(mapping) ?? new Map<string, string>();
  texts.set(mapping, ofMapping);
  const key = JSON.stringify(idTypes);
  const text = ofMapping.get(key) ?? JSON.stringify(openApi(mapping, idTypes));
  ofMapping.set(key, text);
  return text;
};
