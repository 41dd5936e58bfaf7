import { type Database, readBacklogByCause, readStage } from '@unified-kits/data';
import { STAGES } from '@unified-kits/domain';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';

/**
 * Measures what holds: the stage, how many keys wait and what noted them, how many a mirror has failed on,
 * and how many a drain could not take. A backlog that grows, or stays, says that the stores drift apart while
 * no client notices. Zero is a value, too: without it a graph would show the last one that was not.
 */
export const reportStanding = async (db: Database, phase: string): Promise<void> => {
  const { stage, causes } = await db.transaction(
    { asEngine: true, readOnly: true },
    async (session) => ({
      stage: (await readStage(session)).stage,
      causes: await readBacklogByCause(session),
    }),
  );
  const metrics = serviceMetrics(phase);
  const of = (name: string) => causes.find(({ cause }) => cause === name);
  metrics.level(METRICS.Stage, STAGES.indexOf(stage));
  metrics.level(
    METRICS.BacklogSize,
    causes.reduce((sum, { noted }) => sum + noted, 0),
  );
  metrics.level(METRICS.BacklogStuck, of('stuck')?.noted ?? 0);
  metrics.level(METRICS.MirrorFailuresSeen, of('mirror')?.failed ?? 0);
  for (const { cause, noted } of causes) metrics.level(METRICS.BacklogSize, noted, { cause });
};
