import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Binding, type Database, qualifiedName, quoteIdentifier } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';
import { z } from 'zod';

const FILE = 'writers.json';
/** Existing kits of each source that one writer owns. */
const KITS_PER_WRITER = 40;
/** Rows of which kits are drawn. */
const LEAST_READ = 5_000;

const kit = z.strictObject({
  source: z.enum(SOURCES),
  /** The legacy id. */
  key: z.string(),
  userId: z.string(),
  practitionerId: z.string().optional(),
});
/** An existing kit, and whose it is. */
export type PlannedKit = z.output<typeof kit>;

const planSchema = z.strictObject({
  /** In every kit number and token of this run, so that another run's are not met again. */
  tag: z.string(),
  /** One list per writer: no kit has two. */
  kits: z.array(z.array(kit)),
});
/** Who writes which kits. Made once per run and kept: a resumed run goes on with the same ones. */
export type WritersPlan = z.output<typeof planSchema>;

/** The owner's rows that the service asks for: a kit without them is nobody's to see. */
const ownerOf = (binding: Binding, source: Source) => {
  const { users, target, sources } = binding.mapping;
  const column = `s.${quoteIdentifier(binding.sources[source].ownerColumn.name)}`;
  if (source === 'kit')
    return {
      join: `join ${qualifiedName(users.schema, users.table)} o on o.${quoteIdentifier(users.id)} = cast(${column} as ${target.userIdType})`,
      userId: `${column}::text`,
      practitionerId: 'null::text',
    };
  const { practitioners } = sources.practitioner_kits.owner;
  const userId = `o.${quoteIdentifier(practitioners.userId)}`;
  return {
    join: `join ${qualifiedName(practitioners.schema, practitioners.table)} o on o.${quoteIdentifier(practitioners.id)} = cast(${column} as ${target.practitionerIdType}) and ${userId} is not null`,
    userId: `${userId}::text`,
    practitionerId: `${column}::text`,
  };
};

/** Some existing kits with their owners, without reading more than a sample of a large table. */
export const sampleKits = async (
  db: Database,
  binding: Binding,
  source: Source,
  count: number,
): Promise<PlannedKit[]> => {
  const { relation, id, catalog } = binding.sources[source];
  // Samples are pages: of a few rows' worth there may be none.
  const rowsRead = Math.max(4 * count, LEAST_READ);
  const perCent = Math.min(100, (100 * rowsRead) / Math.max(catalog.estimatedRows, 1));
  const key = `s.${quoteIdentifier(id.name)}::text`;
  const owner = ownerOf(binding, source);
  const rows = await db.query<{ key: string; userId: string; practitionerId: string | null }>(
    `select ${key} as key, ${owner.userId} as "userId", ${owner.practitionerId} as "practitionerId"
       from ${relation} s tablesample system ($1::real) repeatable (1) ${owner.join}
      order by md5(${key}) limit $2`,
    [perCent, count],
    { readOnly: true },
  );
  return rows.map(({ practitionerId, ...rest }) => ({
    source,
    ...rest,
    ...(practitionerId === null ? {} : { practitionerId }),
  }));
};

const makePlan = async (db: Database, binding: Binding, writers: number): Promise<WritersPlan> => {
  const kits: PlannedKit[] = [];
  for (const source of SOURCES)
    kits.push(...(await sampleKits(db, binding, source, KITS_PER_WRITER * writers)));
  return {
    tag: randomBytes(2).toString('hex'),
    kits: Array.from({ length: writers }, (_, writer) =>
      kits.filter((_kit, index) => index % writers === writer),
    ),
  };
};

const load = async (directory: string): Promise<WritersPlan | undefined> => {
  try {
    return planSchema.parse(JSON.parse(await readFile(join(directory, FILE), 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
};

/** The plan of this run: the one in the run's directory, or a new one. */
export const writersPlan = async (
  db: Database,
  binding: Binding,
  { directory, writers }: { readonly directory: string; readonly writers: number },
): Promise<WritersPlan> => {
  const known = await load(directory);
  if (known !== undefined) return known;
  const plan = await makePlan(db, binding, writers);
  await writeFile(join(directory, FILE), JSON.stringify(plan), { mode: 0o600, flush: true });
  return plan;
};
