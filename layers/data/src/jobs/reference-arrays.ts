import type { JobReferences } from '@unified-kits/domain';
import type { BoundSource } from '../catalog/bind-mapping.ts';

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const INTEGER = /^-?(?:0|[1-9]\d{0,18})$/;
const BITS: Readonly<Record<string, bigint>> = { smallint: 15n, integer: 31n, bigint: 63n };

/** An id that the type can hold; another would end the query for the whole batch with an error. */
const castable = (id: string | undefined, type: string): string | null => {
  if (id === undefined) return null;
  if (type === 'uuid') return UUID.test(id) ? id : null;
  const bits = BITS[type];
  if (bits === undefined) return id;
  if (!INTEGER.test(id)) return null;
  const value = BigInt(id);
  return value >= -(2n ** bits) && value < 2n ** bits ? id : null;
};

/** The references of a batch of jobs as arrays, one element a job: parameters of one statement. */
export const referenceArrays = (
  references: readonly JobReferences[],
  kit: BoundSource,
  practitionerKits: BoundSource,
): readonly (readonly (string | null)[])[] => [
  references.map(({ kitsId }) => castable(kitsId, 'uuid')),
  references.map(({ kitId }) => castable(kitId, kit.idType)),
  references.map(({ practitionerKitId }) => castable(practitionerKitId, practitionerKits.idType)),
  references.map(({ kitNumber }) => kitNumber ?? null),
];

/** The arrays as a table `r`, numbered by `n` from 1 in the order of the jobs. */
export const REFERENCES =
  'unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) with ordinality r(kits_id, kit_id, practitioner_kit_id, kit_number, n)';
