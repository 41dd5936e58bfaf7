import type { KitsService } from '@unified-kits/data';
import type { FlagSource, Source } from '@unified-kits/domain';
import { afterResponse } from '../runtime/after-response.ts';
import { METRICS } from '../runtime/metric-names.ts';
import { serviceLog } from '../runtime/service-log.ts';
import { serviceMetrics } from '../runtime/service-metrics.ts';

/**
 * Compares the kits of a share of the reads in both stores, after the response has left. Differences are
 * counted and logged by key and field, never by value; the response is long decided.
 */
export const shadowReads =
  (phase: string, service: KitsService, flags: FlagSource) =>
  (source: Source, legacyIds: readonly string[]): void => {
    if (legacyIds.length === 0) return;
    afterResponse(async () => {
      const { shadowReads: perCent } = await flags.cached();
      if (Math.random() * 100 >= perCent) return;
      const { compared, differences } = await service.compare(source, legacyIds);
      const metrics = serviceMetrics(phase);
      if (compared > 0) metrics.count(METRICS.ShadowReads, compared);
      if (differences.length === 0) return;
      metrics.count(METRICS.ShadowDifferences, differences.length);
      for (const { legacyId, fields } of differences)
        serviceLog(phase).warn('the stores show a kit differently', {
          source,
          legacyId,
          fields: fields.join(' '),
        });
    });
  };
