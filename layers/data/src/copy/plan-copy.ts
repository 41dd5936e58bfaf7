import { SOURCES } from '@unified-kits/domain';
import { recordEvent } from '../batch/record-event.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Database } from '../connection/database.ts';
import { dropSecondaryIndexes } from './drop-secondary-indexes.ts';
import { walkRanges } from './walk-ranges.ts';

/** Enough ranges that lanes end together, few enough that planning is nothing. */
const RANGES_PER_SOURCE = 16;
const ROWS_PER_RANGE = { least: 2_000, most: 100_000 };

/**
 * Cuts both sources into key ranges. It must run while capture is on: what is born after the walk is
 * covered by the last, open range or by its captured key. Planning a planned batch changes nothing.
 *
 * @returns the number of ranges.
 */
export const planCopy = async (
  db: Database,
  binding: Binding,
  batchId: string,
  actor: string,
): Promise<number> => {
  await dropSecondaryIndexes(db, binding);
  return db.transaction({ asEngine: true, statementTimeoutMs: 120_000 }, async (session) => {
    await session.query('select from migration.batch where id = $1 for update', [batchId]);
    const planned = await session.query(
      'select count(*)::int as n from migration.chunk where batch_id = $1',
      [batchId],
    );
    if (planned.rows[0].n > 0) return planned.rows[0].n;
    let ranges = 0;
    for (const source of SOURCES) {
      const bound = binding.sources[source];
      const target = Math.ceil(bound.catalog.estimatedRows / RANGES_PER_SOURCE);
      const rows = Math.min(ROWS_PER_RANGE.most, Math.max(ROWS_PER_RANGE.least, target));
      const cut = await walkRanges(session, bound, rows);
      await session.query(
        `insert into migration.chunk (batch_id, source, ordinal, lower, upper, estimated_rows)
         select $1, $2, ordinal - 1, lower, upper, $5 from unnest($3::text[], $4::text[]) with ordinality as cut(lower, upper, ordinal)`,
        [batchId, source, cut.map(({ lower }) => lower), cut.map(({ upper }) => upper), rows],
      );
      ranges += cut.length;
    }
    await recordEvent(session, {
      phase: 'phase2-migration',
      action: 'copy-planned',
      actor,
      batchId,
      detail: { ranges },
    });
    return ranges;
  });
};
