import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Binding, type Database, legacyKitsId, quoteIdentifier } from '@unified-kits/data';
import { type KitStatus, SOURCES, type Source } from '@unified-kits/domain';
import { z } from 'zod';

const FILE = 'jobs.json';
const KITS_PER_SOURCE = 300;
const LEAST_READ = 5_000;

/** The laboratory's way with a kit; jobs lead along it. */
export const WAY = [
  'created',
  'registered',
  'collected',
  'received',
  'processing',
  'completed',
] as const satisfies readonly KitStatus[];

const kit = z.strictObject({
  source: z.enum(SOURCES),
  legacyId: z.string(),
  kitsId: z.string(),
  kitNumber: z.string(),
  /** Where on the way it stood when the plan was made. */
  place: z.int(),
});
/** A kit that jobs are sent for, as producers have known it since before the migration. */
export type JobKit = z.output<typeof kit>;

const planSchema = z.strictObject({
  /** In every job's id of this run. */
  tag: z.string(),
  kits: z.array(kit),
});
export type JobsPlan = z.output<typeof planSchema>;

/** The words of a source for the statuses of the way, in its order; undefined where it lacks one. */
export const wayOf = (binding: Binding, source: Source): readonly string[] | undefined => {
  const { values } = binding.mapping.sources[source].columns.status;
  if (values === undefined) return WAY;
  const words = WAY.map(
    (status) => Object.entries(values).find(([, meaning]) => meaning === status)?.[0],
  );
  return words.every((word) => word !== undefined) ? words : undefined;
};

/** Kits on the way that no client of the run changes; read as a sample, never a scan. */
const sample = async (
  db: Database,
  binding: Binding,
  source: Source,
  taken: ReadonlySet<string>,
): Promise<JobKit[]> => {
  const bound = binding.sources[source];
  const way = wayOf(binding, source);
  const number = bound.rules.find(({ field }) => field === 'kitNumber');
  const status = bound.rules.find(({ field }) => field === 'status');
  if (way === undefined || number === undefined || status === undefined) return [];
  const column = (name: string) => `s.${quoteIdentifier(name)}`;
  const rowsRead = Math.max(8 * KITS_PER_SOURCE + 4 * taken.size, LEAST_READ);
  const rows = await db.query<Omit<JobKit, 'source'>>(
    `select ${column(bound.id.name)}::text as "legacyId", ${legacyKitsId(bound)}::text as "kitsId",
            ${column(number.column.name)}::text as "kitNumber",
            array_position($3::text[], ${column(status.column.name)}::text) - 1 as place
       from ${bound.relation} s tablesample system ($1::real) repeatable (2)
      where ${column(status.column.name)}::text = any ($4::text[]) and not (${column(bound.id.name)}::text = any ($5::text[]))
      order by md5(${column(bound.id.name)}::text) limit $2`,
    [
      Math.min(100, (100 * rowsRead) / Math.max(bound.catalog.estimatedRows, 1)),
      KITS_PER_SOURCE,
      way,
      way.slice(0, -1),
      [...taken],
    ],
    { readOnly: true },
  );
  return rows.map((row) => ({ source, ...row }));
};

/**
 * The plan of this run: the one in the run's directory, or a new one, which needs the legacy tables to be
 * authoritative.
 *
 * @param taken legacy ids by source that the run's clients change
 */
export const jobsPlan = async (
  db: Database,
  binding: Binding,
  directory: string,
  taken: Readonly<Record<Source, ReadonlySet<string>>>,
): Promise<JobsPlan> => {
  try {
    return planSchema.parse(JSON.parse(await readFile(join(directory, FILE), 'utf8')));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const kits: JobKit[] = [];
  for (const source of SOURCES) kits.push(...(await sample(db, binding, source, taken[source])));
  const plan: JobsPlan = { tag: randomBytes(3).toString('hex'), kits };
  await writeFile(join(directory, FILE), JSON.stringify(plan), { mode: 0o600, flush: true });
  return plan;
};
