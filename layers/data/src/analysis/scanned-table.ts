import type { FindingCode, Source } from '@unified-kits/domain';
import type { CatalogColumn, CatalogTable } from '../catalog/read-table.ts';
import type { KeyedTable } from '../copy/walk-ranges.ts';

/** The tables whose rows phase 0 reads, in this order. */
export const SCANNED = ['kit', 'practitioner_kits', 'practitioners'] as const;
export type Scanned = Source | 'practitioners';

/** A fault that a row of alias `s` may have. */
export interface RowCheck {
  readonly code: FindingCode;
  readonly column: string;
  /** SQL that is true, never null, for a faulty row; its values are the parameters from `$first` on. */
  readonly condition: (first: number) => string;
  readonly values: readonly unknown[];
}

/** One table as the analysis reads it: once, in ranges of its key. */
export interface ScannedTable extends KeyedTable {
  readonly name: Scanned;
  readonly catalog: CatalogTable;
  /** `from` with the joins that find a row's owner; alias `s` is the row itself. */
  readonly from: string;
  /** Whether a join is planned row by row: its other side is too large to be read for each range. */
  readonly largeLookup: boolean;
  /** SQL of the text in which no two rows should be equal. */
  readonly unique: string;
  /** The finding for a row in which that text is missing or empty. */
  readonly missing: { readonly code: FindingCode; readonly column: string };
  readonly checks: readonly RowCheck[];
}

/** A check that needs no parameter. */
export const plainCheck = (
  code: FindingCode,
  column: CatalogColumn,
  condition: string,
): RowCheck => ({
  code,
  column: column.name,
  condition: () => condition,
  values: [],
});

/** The type in which a key is compared and sorted. */
export const keyType = ({ baseType }: CatalogColumn): string =>
  baseType === 'character varying' ? 'text' : baseType;
