import type { FoundKeys, KitKey, Source, Stage } from '@unified-kits/domain';

/** A row of a resolving statement. Keys come as `source:legacy id`. */
export interface FoundRow {
  readonly stage: Stage;
  readonly by_kits_id: string | null;
  readonly by_kit_id: string | null;
  readonly by_practitioner_kit_id: string | null;
  readonly by_kit_number: readonly string[];
}

/** What a batch's references led to, in the order of the jobs, and the stage of the snapshot. */
export interface FoundBatch {
  readonly stage: Stage;
  readonly found: readonly FoundKeys[];
}

/** The name of a source has no colon; a legacy id may. */
const keyOf = (text: string | null | undefined): KitKey | undefined => {
  if (text == null) return undefined;
  const colon = text.indexOf(':');
  return { source: text.slice(0, colon) as Source, legacyId: text.slice(colon + 1) };
};

export const foundBatch = (rows: readonly FoundRow[]): FoundBatch => {
  const [first] = rows;
  if (first === undefined) throw new TypeError('a batch has a job');
  return {
    stage: first.stage,
    found: rows.map((row) => ({
      byKitsId: keyOf(row.by_kits_id),
      byKitId: keyOf(row.by_kit_id),
      byPractitionerKitId: keyOf(row.by_practitioner_kit_id),
      byKitNumber: row.by_kit_number.flatMap((text) => keyOf(text) ?? []),
    })),
  };
};
