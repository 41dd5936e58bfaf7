import { analyse, type Binding, type Database } from '@unified-kits/data';
import { median, seconds } from './measures.ts';

/** The least that any analysis must do: read every row of both tables and normalise its kit number. */
const plainScan = (db: Database, workers: number): Promise<void> =>
  db.transaction({ statementTimeoutMs: 0 }, async (session) => {
    await session.query(`set local max_parallel_workers_per_gather = ${workers}`);
    for (const table of ['kit', 'practitioner_kits'])
      await session.query(
        `select count(*), sum(length(lower(btrim(kit_number)))), count(status), count(updated_at) from public.${table}`,
      );
  });

/**
 * The analysis' time as a multiple of the plain scan's, in turn: of one in a single process, as the
 * analysis itself is, and of one that takes the other cores as well.
 */
export const measureAnalysis = async (
  { db, binding }: { db: Database; binding: Binding },
  rounds: number,
): Promise<{ single: number; parallel: number }> => {
  const ratios: { single: number; parallel: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const single = await seconds(() => plainScan(db, 0));
    const parallel = await seconds(() => plainScan(db, 2));
    const analysis = await seconds(async () => {
      const outcome = await analyse(db, binding, { deadline: Number.POSITIVE_INFINITY });
      if (!outcome.done) throw new Error('the analysis did not finish');
    });
    ratios.push({ single: analysis / single, parallel: analysis / parallel });
  }
  return {
    single: median(ratios.map((ratio) => ratio.single)),
    parallel: median(ratios.map((ratio) => ratio.parallel)),
  };
};
