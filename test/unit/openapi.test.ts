import type { KitsService } from '@unified-kits/data';
import { loadMapping } from '@unified-kits/data';
import {
  type Contract,
  KIT_STATUSES,
  type Kit,
  kitJson,
  type LegacyIdTypes,
  legacyKitSchema,
  type Mapping,
  referenceMapping,
  SHARED_COLUMNS,
  SHARED_FIELDS,
  type Source,
  unifiedKitSchema,
} from '@unified-kits/domain';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import {
  PROBLEM_KINDS,
  Problem,
  problemResponse,
} from '../../functions/phase4-api/http/problem.ts';
import { legacyRoutes } from '../../functions/phase4-api/legacy-routes.ts';
import { apiSchemas } from '../../functions/phase4-api/openapi/api-schemas.ts';
import { OPERATIONS } from '../../functions/phase4-api/openapi/operations.ts';
import { type openApi, openApiText } from '../../functions/phase4-api/openapi.ts';
import type { Api } from '../../functions/phase4-api/route.ts';
import { unifiedRoutes } from '../../functions/phase4-api/unified-routes.ts';
import { readRecorded, renewalHint, renewing, writeRecorded } from '../support/recorded.ts';

const REFERENCE_IDS: LegacyIdTypes = { kit: 'integer', practitioner_kits: 'string' };
const RECORDED = new URL('../../functions/phase4-api/openapi.json', import.meta.url);

type Json = Record<string, unknown>;
const document = (mapping: Mapping, idTypes: LegacyIdTypes) =>
  JSON.parse(openApiText(mapping, idTypes)) as ReturnType<typeof openApi>;
const reference = document(referenceMapping, REFERENCE_IDS);

/** Every object of a document, with where it stands. */
function* objectsOf(value: unknown, at = '#'): Generator<readonly [string, Json]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield [at, value as Json];
  for (const [name, inner] of Object.entries(value)) yield* objectsOf(inner, `${at}/${name}`);
}

const operationsOf = ({ paths }: { paths: object }) =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Json>).map(([method, operation]) => ({
      route: `${method.toUpperCase()} ${path}`,
      path,
      operation,
    })),
  );

describe("the API's description", () => {
  it('is checked in as it is served', () => {
    if (renewing()) writeRecorded(RECORDED, reference);
    expect(readRecorded(RECORDED), renewalHint(RECORDED, 'test/unit/openapi.test.ts')).toEqual(
      reference,
    );
  });

  it('describes the routes that are served, all of them and no other', () => {
    const api: Api = {
      // Routes are made without asking the service anything.
      service: {} as KitsService,
      mapping: referenceMapping,
      deprecation: { deprecatedAt: '2026-12-01', sunsetAt: '2027-12-01' },
      shown: () => {},
    };
    const served = [...legacyRoutes(api), ...unifiedRoutes(api)].map(
      ({ method, path }) => `${method} ${path}`,
    );
    expect(
      operationsOf(reference)
        .map(({ route }) => route)
        .sort(),
    ).toEqual([...served, 'GET /openapi.json'].sort());
  });

  it('refers to nothing that is not there, and leaves nothing unused', () => {
    const refs = [...objectsOf(reference)].flatMap(([, { $ref }]) =>
      typeof $ref === 'string' ? [$ref] : [],
    );
    const places = new Set([...objectsOf(reference)].map(([at]) => at));
    expect(refs.filter((ref) => !places.has(ref))).toEqual([]);
    const { securitySchemes: _, ...components } = reference.components;
    const named = Object.entries(components).flatMap(([kind, ones]) =>
      Object.keys(ones).map((name) => `#/components/${kind}/${name}`),
    );
    expect(named.filter((name) => !refs.includes(name))).toEqual([]);
  });

  it('names each operation once, with the parameters that its path has', () => {
    const operations = operationsOf(reference);
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { route, path, operation } of operations) {
      const wanted = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const given = ((operation.parameters ?? []) as Json[])
        .filter((parameter) => parameter.in === 'path')
        .map(({ name }) => name);
      expect(given, route).toEqual(wanted);
    }
  });

  it('marks the legacy routes as deprecated and no other, and asks for a token on all but its own', () => {
    for (const { route, path, operation } of operationsOf(reference)) {
      const legacy = !path.startsWith('/v2/') && path !== '/openapi.json';
      expect(operation.deprecated ?? false, route).toBe(legacy);
      expect(operation.security, route).toEqual(path === '/openapi.json' ? [] : undefined);
    }
    expect(reference.security).toEqual([{ bearer: [] }]);
  });

  it('asks for If-Match on the unified route and leaves it to the client on the legacy ones', () => {
    const required = operationsOf(reference).flatMap(({ route, operation }) =>
      ((operation.parameters ?? []) as Json[]).some(
        ({ $ref }) => $ref === '#/components/parameters/RequiredIfMatch',
      )
        ? [route]
        : [],
    );
    expect(required).toEqual(['PATCH /v2/kits/{kitsId}']);
  });

  it('gives ids the type that the legacy tables have', async () => {
    const clinic = await loadMapping('test/fixtures/clinic.mapping.ts');
    const described = document(clinic, { kit: 'string', practitioner_kits: 'integer' });
    const { LegacyClientKit, LegacyPractitionerKit } = described.components.schemas as Record<
      string,
      { properties: Record<string, Json> }
    >;
    expect(LegacyClientKit?.properties.id).toEqual({ type: 'string' });
    expect(LegacyPractitionerKit?.properties.id).toEqual({ type: 'integer', format: 'int64' });
    const read = operationsOf(described).find(
      ({ route }) => route === 'GET /practitioners/{practitionerId}/kits/{id}',
    );
    const parameters = read?.operation.parameters as { schema?: Json }[] | undefined;
    expect(parameters?.map(({ schema }) => schema?.type).slice(0, 2)).toEqual([
      'integer',
      'integer',
    ]);
  });

  it('leaves out what a mapping has no column for', async () => {
    const { receivedAt: _, orderId: __, ...columns } = referenceMapping.sources.kit.columns;
    const mapping: Mapping = {
      ...referenceMapping,
      sources: {
        ...referenceMapping.sources,
        kit: { ...referenceMapping.sources.kit, columns },
      },
    };
    const { schemas } = document(mapping, REFERENCE_IDS).components;
    const fieldsOf = (name: string) =>
      Object.keys((schemas as Record<string, { properties: object }>)[name]?.properties ?? {});
    expect(fieldsOf('LegacyClientKit')).not.toContain('orderId');
    expect(fieldsOf('LegacyClientKit')).not.toContain('receivedAt');
    expect(fieldsOf('NewLegacyClientKit')).not.toContain('orderId');
    expect(fieldsOf('LegacyPractitionerKit')).toContain('orderId');
    // The unified contract has one set of fields for all; what has no column is null.
    expect(fieldsOf('ClientKit')).toContain('orderId');
  });

  it('describes every problem document, and tells of each problem somewhere', () => {
    const { Problem: schema } = apiSchemas(referenceMapping, REFERENCE_IDS);
    for (const kind of PROBLEM_KINDS) {
      const errors = [{ pointer: '/status', detail: 'is missing' }];
      const { body } = problemResponse(new Problem(kind, { detail: 'so', errors }), 'urn:x:1');
      expect(schema.safeParse(JSON.parse(body ?? '')).error, kind).toBeUndefined();
    }
    const told = new Set(
      OPERATIONS.flatMap(({ responses }) =>
        Object.values(responses).flatMap(({ problems }) => problems),
      ),
    );
    // Of these the description tells in words: no operation has them.
    const elsewhere = ['bad-request', 'method-not-allowed'];
    expect(PROBLEM_KINDS.filter((kind) => !told.has(kind))).toEqual(elsewhere);
  });
});

const UNICODE = fc.string({ unit: 'binary', maxLength: 8 });
const TIMES = fc.constantFrom(
  null,
  '2026-06-01T10:00:00.123456Z',
  '12026-06-01T10:00:00.000000Z',
  'infinity',
  '-infinity',
  '0044-03-15 12:00:00+00 BC',
);
const NUMBERS = ['0', '-12.50', '12345678901234567890.10', 'null'];
const JSON_TEXT = fc.oneof(fc.constantFrom(...NUMBERS), fc.json());

/** A kit as a store gives it: text, or null, in every field. */
const kitsOf = (mapping: Mapping, source: Source): fc.Arbitrary<Kit> => {
  const fields = fc.record(
    Object.fromEntries(
      SHARED_FIELDS.map((field) => [
        field,
        { text: fc.option(UNICODE), jsonb: fc.option(JSON_TEXT), timestamptz: TIMES }[
          SHARED_COLUMNS[field].type
        ],
      ]),
    ),
  ) as fc.Arbitrary<Kit['fields']>;
  const attributes = fc.record(
    Object.fromEntries(
      Object.keys(mapping.sources[source].api.attributes).map((name) => [
        name,
        UNICODE.map((text) => JSON.stringify(text)),
      ]),
    ),
    { requiredKeys: [] },
  ) as fc.Arbitrary<Kit['attributes']>;
  const client = source === 'kit';
  return fc.record({
    source: fc.constant(source),
    legacyId: client ? fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String) : fc.uuid(),
    kitsId: fc.uuid(),
    ownerType: fc.constant<Kit['ownerType']>(client ? 'client' : 'practitioner'),
    userId: client ? fc.uuid() : fc.option(fc.uuid()),
    practitionerId: client ? fc.constant<string | null>(null) : fc.uuid(),
    fields,
    legacyFields: fc.record<Kit['legacyFields']>({
      status: fc.option(fc.oneof(fc.constantFrom(...KIT_STATUSES), UNICODE)),
    }),
    attributes,
  });
};

describe.each(['kit', 'practitioner_kits'] as const)(
  'the schema of a response about %s',
  (source) => {
    const schemas: Record<Contract, z.ZodObject> = {
      legacy: legacyKitSchema(referenceMapping, source, REFERENCE_IDS[source]),
      v2: unifiedKitSchema(referenceMapping, source),
    };

    it.each(['legacy', 'v2'] as const)('describes every kit in the %s contract', (contract) => {
      fc.assert(
        fc.property(kitsOf(referenceMapping, source), (kit) => {
          const shown = JSON.parse(kitJson(kit, contract, referenceMapping, REFERENCE_IDS)) as Json;
          expect(schemas[contract].safeParse(shown).error).toBeUndefined();
          expect(Object.keys(schemas[contract].shape).sort()).toEqual(Object.keys(shown).sort());
        }),
      );
    });

    it.each(['legacy', 'v2'] as const)(
      'takes no field more or less in the %s contract',
      (contract) => {
        const [kit] = fc.sample(kitsOf(referenceMapping, source), { numRuns: 1, seed: 1 });
        if (kit === undefined) throw new TypeError('one was asked for');
        const shown = JSON.parse(kitJson(kit, contract, referenceMapping, REFERENCE_IDS)) as Json;
        const { ownerType: _, ...without } = shown;
        expect(schemas[contract].safeParse({ ...shown, more: 1 }).success).toBe(false);
        expect(schemas[contract].safeParse(without).success).toBe(false);
      },
    );
  },
);
