import type { Kit, Stage } from '@unified-kits/domain';
import type { Binding } from '../catalog/bind-mapping.ts';
import { type KitRow, kitOfRow } from './kit-columns.ts';
import type { Reading } from './kit-store.ts';

/** A row of a judged statement; without a kit its columns are null. */
export type KitReadingRow = {
  readonly stage: Stage;
  readonly inStep: boolean;
} & (KitRow | { readonly source: null });

/** The kits of a judged statement. */
export const readingOf = (
  binding: Binding,
  rows: readonly KitReadingRow[],
): Reading<readonly Kit[]> => {
  const [first] = rows;
  if (first === undefined) throw new TypeError('migration.stage has one row');
  const { stage, inStep } = first;
  return {
    stage,
    inStep,
    value: rows.flatMap((row) => (row.source === null ? [] : [kitOfRow(binding, row)])),
  };
};

/** The same for one kit at most. */
export const oneReading = (
  binding: Binding,
  { rows }: { readonly rows: readonly KitReadingRow[] },
): Reading<Kit | undefined> => {
  const { stage, inStep, value } = readingOf(binding, rows);
  return { stage, inStep, value: value[0] };
};
