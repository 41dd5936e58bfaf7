import { JobRejected } from '../errors.ts';
import type { Source } from '../mapping/schema.ts';

/** A kit by the identity that it has in both stores. */
export interface KitKey {
  readonly source: Source;
  readonly legacyId: string;
}

/** By what a job found its kit. */
export type ResolutionPath = 'kitsId' | 'legacyId' | 'kitNumber';

/** What a store found for each reference of one job; undefined where the job has none, or none was found. */
export interface FoundKeys {
  readonly byKitsId: KitKey | undefined;
  readonly byKitId: KitKey | undefined;
  readonly byPractitionerKitId: KitKey | undefined;
  /** Two where a kit number is not unique, as it may be in the legacy tables. */
  readonly byKitNumber: readonly KitKey[];
}

export interface Resolution {
  readonly key: KitKey;
  readonly path: ResolutionPath;
  /** Another reference of the job names another kit, or none. */
  readonly conflicting: boolean;
}

const same = (one: KitKey, other: KitKey | undefined): boolean =>
  other !== undefined && one.source === other.source && one.legacyId === other.legacyId;

/**
 * Which kit a job means: the one of its `kitsId`, else of its legacy id, else of its kit number. The same
 * in every stage, whichever store was asked.
 *
 * @param given which references the job has
 * @throws {JobRejected} when none leads to a kit, or the only one that does leads to two.
 */
export const resolve = (
  given: { readonly [Reference in keyof FoundKeys]: boolean },
  found: FoundKeys,
): Resolution => {
  const [number, second] = found.byKitNumber;
  const candidates = [
    { path: 'kitsId', given: given.byKitsId, key: found.byKitsId },
    { path: 'legacyId', given: given.byKitId, key: found.byKitId },
    { path: 'legacyId', given: given.byPractitionerKitId, key: found.byPractitionerKitId },
    { path: 'kitNumber', given: given.byKitNumber, key: second === undefined ? number : undefined },
  ] as const;
  for (const { path, key } of candidates)
    if (key !== undefined)
      return {
        key,
        path,
        conflicting: candidates.some((other) => other.given && !same(key, other.key)),
      };
  if (second !== undefined)
    throw new JobRejected(
      'ambiguous-kit',
      'two kits have this kit number, and nothing else is given',
    );
  throw new JobRejected('unknown-kit', 'no kit has any of the references');
};
