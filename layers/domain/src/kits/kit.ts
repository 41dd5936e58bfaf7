import type { OwnerType, SharedField, Source } from '../mapping/schema.ts';

/**
 * A kit as either store shows it. All values are text as the database writes it, for a JavaScript number or
 * `Date` would lose digits; times are UTC with microseconds (`2026-06-01T10:00:00.123456Z`).
 */
export interface Kit {
  readonly source: Source;
  readonly legacyId: string;
  readonly kitsId: string;
  readonly ownerType: OwnerType;
  /** Null only in the legacy tables: an owner that the analysis calls a blocker. */
  readonly userId: string | null;
  readonly practitionerId: string | null;
  /** The shared columns in the words of `kits`; `metadata` is JSON text. Unmapped ones are null. */
  readonly fields: Readonly<Record<SharedField, string | null>>;
  /** Those with a value map, in the legacy table's words. */
  readonly legacyFields: Readonly<Partial<Record<SharedField, string | null>>>;
  /** What the mapping lets the API show besides: name in JSON → JSON text; null is absent. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Which kit is meant: by the id that legacy routes use, or by its id in `kits`. */
export type KitReference =
  | { readonly source: Source; readonly legacyId: string }
  | { readonly kitsId: string };

/**
 * A new value of a column: text in the legacy table's words (JSON text for JSON), null, the transaction's
 * time, or a point in time as ISO 8601 with an offset.
 */
export type NewValue = string | null | { readonly now: true } | { readonly at: string };

/** Values by field, and by name of a shown attribute. Fields that are absent stay as they are. */
export interface KitValues {
  readonly fields: Readonly<Partial<Record<SharedField, NewValue>>>;
  readonly attributes: Readonly<Record<string, string | null>>;
}
