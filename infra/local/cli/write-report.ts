import { chmod, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { type Database, readRunReport } from '@unified-kits/data';
import { type ClientFigures, renderRunReport } from '@unified-kits/domain';
import type { Figures } from './figures.ts';
import { WINDOWS } from './request-windows.ts';

/** What the clients of a run saw, as the report shows it; null where there were none. */
const clientFigures = (figures: Figures | undefined): ClientFigures | null => {
  if (figures === undefined || figures.requests.all.count === 0) return null;
  const { requests, writes, reads, jobs, rollback } = figures;
  return {
    latency: [...WINDOWS, 'all' as const].map((window) => ({ window, ...requests[window] })),
    writes,
    reads,
    jobs,
    legacyIntact: rollback?.legacyIntact ?? null,
  };
};

/** The shorter of both ways to name a file, for people. */
export const shortPath = (path: string): string => {
  const from = relative(process.cwd(), path);
  return from.length < path.length ? from : path;
};

/**
 * Writes the report of a run into its directory, for its owner alone.
 *
 * @param report `id` is a batch's, or that of an analysis' report; without it the newest run's
 * @returns the file's path, from the root on
 */
export const writeReport = async (
  db: Database,
  directory: string,
  report: {
    readonly id: string | undefined;
    readonly environment: string;
    readonly figures?: Figures | undefined;
  },
): Promise<string> => {
  const { id, environment, figures } = report;
  const told = await readRunReport(db, { id, environment });
  const path = join(directory, `report-${told.id}.html`);
  await writeFile(path, renderRunReport({ ...told, clients: clientFigures(figures) }), {
    mode: 0o600,
  });
  // The mode above is that of a new file only.
  await chmod(path, 0o600);
  return path;
};
