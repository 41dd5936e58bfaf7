import { analyse, type Binding, type Database } from '@unified-kits/data';
import { median, seconds } from './measures.ts';

/** The least that any analysis must do: read every row of both tables and normalise its kit number. */
const plainScan = async (db: Database): Promise<void> => {
  for (const table of ['kit', 'practitioner_kits'])
    await db.query(
      `select count(*), sum(length(lower(btrim(kit_number)))), count(status), count(updated_at) from public.${table}`,
      [],
      {
        statementTimeoutMs: 0,
      },
    );
};

/** The analysis' time as a multiple of the plain scan's, in turn. */
export const measureAnalysis = async (
  { db, binding }: { db: Database; binding: Binding },
  rounds: number,
): Promise<number> => {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const scan = await seconds(() => plainScan(db));
    const analysis = await seconds(async () => {
      const outcome = await analyse(db, binding, { deadline: Number.POSITIVE_INFINITY });
      if (!outcome.done) throw new Error('the analysis did not finish');
    });
    ratios.push(analysis / scan);
  }
  return median(ratios);
};
