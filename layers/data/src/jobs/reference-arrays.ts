import { canonicalId, type JobReferences } from '@unified-kits/domain';
import type { Binding, BoundSource } from '../catalog/bind-mapping.ts';
import { canHoldNumber } from '../kits/number-match.ts';

/** An id that the type can hold; another would end the query for the whole batch with an error. */
const holdable = (id: string | undefined, type: string): string | null =>
  id === undefined ? null : (canonicalId(id, type) ?? null);

const numberIn = (source: BoundSource, number: string | undefined): string | null => {
  const column = source.rules.find(({ field }) => field === 'kitNumber')?.column;
  const holds = number !== undefined && column !== undefined && canHoldNumber(column, number);
  return holds ? number : null;
};

/** The references of a batch of jobs as arrays, one element a job: parameters of one statement. */
export const referenceArrays = (
  references: readonly JobReferences[],
  { kit, practitioner_kits }: Binding['sources'],
): readonly (readonly (string | null)[])[] => [
  references.map(({ kitsId }) => holdable(kitsId, 'uuid')),
  references.map(({ kitId }) => holdable(kitId, kit.idType)),
  references.map(({ practitionerKitId }) => holdable(practitionerKitId, practitioner_kits.idType)),
  references.map(({ kitNumber }) => kitNumber ?? null),
  references.map(({ kitNumber }) => numberIn(kit, kitNumber)),
  references.map(({ kitNumber }) => numberIn(practitioner_kits, kitNumber)),
];

/**
 * The arrays as a table `r`, numbered by `n` from 1 in the order of the jobs. The last two are the kit number
 * again, where that source's column can hold it.
 */
export const REFERENCES =
  'unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) with ordinality r(kits_id, kit_id, practitioner_kit_id, kit_number, kit_held, practitioner_kits_held, n)';
