import { toFindings } from '@unified-kits/domain';
import { catalogTallies } from '../analysis/catalog-tallies.ts';
import { readLookups } from '../analysis/scanned-tables.ts';
import type { Binding } from '../catalog/bind-mapping.ts';
import type { Session } from '../connection/database.ts';
import { type HealthFinding, orOk } from './finding.ts';

/** What the analysis would find in the catalog alone and stop at: owners, keys, rules, partitions. No row is read. */
export const checkLegacyTables = async (
  session: Session,
  binding: Binding,
): Promise<readonly HealthFinding[]> => {
  const { tallies } = await catalogTallies(session, binding, await readLookups(session, binding));
  const findings = toFindings(tallies)
    .filter(({ severity }) => severity === 'blocker' || severity === 'unified-blocker')
    .map(
      ({ severity, title, keys, advice }): HealthFinding => ({
        check: 'legacy tables',
        level: severity === 'blocker' ? 'fault' : 'warning',
        message: `${title}: ${keys.join(', ')}`,
        fix: advice,
      }),
    );
  return orOk('legacy tables', findings, 'they match the mapping, and nothing of them stops a run');
};
