import { type Database, readBacklogByCause } from '@unified-kits/data';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';

/**
 * Measures the backlog as it stands: how many keys wait, by what noted them, and how many of them a mirror
 * has failed on. One that grows, or stays, says that the stores drift apart while no client notices.
 */
export const reportBacklog = async (db: Database, phase: string): Promise<void> => {
  const causes = await db.transaction({ asEngine: true, readOnly: true }, readBacklogByCause);
  const metrics = serviceMetrics(phase);
  // An empty backlog is a value, too: without it a graph would show the last one that was not.
  if (causes.length === 0) metrics.count(METRICS.BacklogSize, 0);
  for (const { cause, noted } of causes) metrics.count(METRICS.BacklogSize, noted, { cause });
  const mirror = causes.find(({ cause }) => cause === 'mirror');
  metrics.count(METRICS.MirrorFailuresSeen, mirror?.failed ?? 0);
};
