import type { Source } from '@unified-kits/domain';
import { keepExact } from '../phase4-api/http/exact-numbers.ts';
import type { HttpResponse } from '../phase4-api/route.ts';

/** A kit that only one of two pages shows, or that they show differently. */
export interface DifferingKit {
  readonly source: Source;
  readonly legacyId: string;
  readonly practitionerId: string | null;
}

/** In what two responses differ: names and keys, never a value. */
export interface DifferingParts {
  /** Empty where the responses are the same byte for byte. */
  readonly names: readonly string[];
  /** Of a page. */
  readonly kits: readonly DifferingKit[];
}

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Numbers with all their digits; undefined for what is no JSON object. */
const objectOf = (text: string | undefined): Json | undefined => {
  try {
    const value: unknown = JSON.parse(text ?? '', keepExact);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

const namesOf = (one: Json, other: Json): string[] => [
  ...new Set([...Object.keys(one), ...Object.keys(other)]),
];
const isSame = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

/** The fields that differ; of `attributes`, which of them. */
const fieldsOf = (one: Json, other: Json, within = ''): string[] =>
  namesOf(one, other).flatMap((name) => {
    const [a, b] = [one[name], other[name]];
    if (isSame(a, b)) return [];
    return name === 'attributes' && isObject(a) && isObject(b)
      ? fieldsOf(a, b, 'attributes.')
      : [`${within}${name}`];
  });

/** A number with more digits than a double holds is raw JSON here, which is written as it came. */
const idText = (id: unknown): string => (typeof id === 'string' ? id : JSON.stringify(id));

/** A kit's key in a page; both contracts say who owns it. */
const keyOf = (kit: Json): DifferingKit => ({
  source: kit.ownerType === 'client' ? 'kit' : 'practitioner_kits',
  legacyId: idText(kit.legacyId ?? kit.id),
  practitionerId: typeof kit.practitionerId === 'string' ? kit.practitionerId : null,
});

const pageParts = (legacy: Json, kits: Json): DifferingParts => {
  const byKey = (page: Json) =>
    new Map(
      (Array.isArray(page.kits) ? page.kits : []).filter(isObject).map((kit) => {
        const key = keyOf(kit);
        return [`${key.source} ${key.legacyId}`, { key, kit }] as const;
      }),
    );
  const [one, other] = [byKey(legacy), byKey(kits)];
  const names: string[] = [];
  const differing: DifferingKit[] = [];
  for (const name of new Set([...one.keys(), ...other.keys()])) {
    const [a, b] = [one.get(name), other.get(name)];
    if (a !== undefined && b !== undefined && isSame(a.kit, b.kit)) continue;
    const found = a ?? b;
    if (found !== undefined) differing.push(found.key);
    if (a === undefined) names.push(`${name} (not in legacy)`);
    else if (b === undefined) names.push(`${name} (not in kits)`);
    else names.push(...fieldsOf(a.kit, b.kit).map((field) => `${name} ${field}`));
  }
  const { kits: _, ...restOfOne } = legacy;
  const { kits: __, ...restOfOther } = kits;
  return { names: [...names, ...fieldsOf(restOfOne, restOfOther)], kits: differing };
};

const bodyParts = (legacy: string | undefined, kits: string | undefined): DifferingParts => {
  if (legacy === kits) return { names: [], kits: [] };
  const [one, other] = [objectOf(legacy), objectOf(kits)];
  const whole = { names: ['body'], kits: [] };
  if (one === undefined || other === undefined) return whole;
  const found =
    'kits' in one && 'kits' in other
      ? pageParts(one, other)
      : { names: fieldsOf(one, other), kits: [] };
  // The same values in another order, or written differently.
  return found.names.length === 0 ? whole : found;
};

/** Compares status, headers and body, the body byte for byte. */
export const differingParts = (legacy: HttpResponse, kits: HttpResponse): DifferingParts => {
  const [one, other] = [legacy.headers ?? {}, kits.headers ?? {}];
  const headers = namesOf(one, other)
    .filter((name) => one[name] !== other[name])
    .map((name) => `header ${name}`);
  const body = bodyParts(legacy.body, kits.body);
  return {
    names: [
      ...(legacy.statusCode === kits.statusCode ? [] : ['status']),
      ...headers,
      ...body.names,
    ],
    kits: body.kits,
  };
};
