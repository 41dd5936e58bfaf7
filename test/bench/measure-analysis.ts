import type { Binding, Database } from '@unified-kits/data';

export const measureAnalysis = async (
  _: { db: Database; binding: Binding },
  __: number,
): Promise<number> => Number.NaN;
