import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Binding, type Database, quoteIdentifier } from '@unified-kits/data';
import { SOURCES, type Source } from '@unified-kits/domain';
import pg from 'pg';
import { z } from 'zod';
import { probeShapes } from './probe-shape.ts';
import { type WriteShape, writtenColumns } from './write-shape.ts';

const FILE = 'writers.json';
/** Existing rows of each source that one writer owns. */
const ROWS_PER_WRITER = 400;

const sourcePlan = z.strictObject({
  token: z.strictObject({ legacyColumn: z.string(), kitsColumn: z.string().optional() }),
  statuses: z.array(z.strictObject({ legacy: z.string(), unified: z.string() })),
  inserts: z.boolean(),
  /** Legacy ids of existing rows, one list per writer: no row has two writers. */
  keys: z.array(z.array(z.string())),
});
const planSchema = z.strictObject({
  writers: z.int(),
  sources: z.strictObject({
    kit: sourcePlan.optional(),
    practitioner_kits: sourcePlan.optional(),
  }),
});
type StoredPlan = z.output<typeof planSchema>;

/** Who writes which rows, and how. Made once per run and kept: a resumed run goes on with the same rows. */
export interface WritersPlan {
  readonly writers: number;
  readonly shapes: Readonly<Record<Source, WriteShape | undefined>>;
  /** Legacy ids of existing rows by source, one list per writer. */
  readonly keys: Readonly<Record<Source, readonly (readonly string[])[]>>;
  readonly written: Readonly<Record<Source, readonly string[]>>;
}

/** Some existing keys, without reading more than a sample of a large table. */
const sampleKeys = async (
  db: Database,
  binding: Binding,
  source: Source,
  count: number,
): Promise<string[]> => {
  const { relation, id, catalog } = binding.sources[source];
  const perCent = Math.min(
    100,
    Math.max(0.001, (count * 400) / Math.max(catalog.estimatedRows, 1)),
  );
  const rows = await db.query<{ key: string }>(
    `select s.${quoteIdentifier(id.name)}::text as key from ${relation} s tablesample system ($1::real) repeatable (1) order by md5(s.${quoteIdentifier(id.name)}::text) limit $2`,
    [perCent, count],
    { readOnly: true },
  );
  return rows.map(({ key }) => key);
};

const deal = (keys: readonly string[], writers: number): string[][] =>
  Array.from({ length: writers }, (_, writer) =>
    keys.filter((_key, index) => index % writers === writer),
  );

const makePlan = async (
  db: Database,
  binding: Binding,
  writerUrl: string,
  writers: number,
): Promise<StoredPlan> => {
  const keys = {
    kit: await sampleKeys(db, binding, 'kit', ROWS_PER_WRITER * writers),
    practitioner_kits: await sampleKeys(
      db,
      binding,
      'practitioner_kits',
      ROWS_PER_WRITER * writers,
    ),
  };
  const client = new pg.Client({ connectionString: writerUrl });
  await client.connect();
  try {
    const samples = Object.fromEntries(
      SOURCES.flatMap((source) =>
        keys[source][0] === undefined ? [] : [[source, keys[source][0]]],
      ),
    );
    const shapes = await probeShapes(client, binding, samples);
    const part = (source: Source) => {
      const shape = shapes[source];
      if (shape === undefined) return undefined;
      const { token, statuses, inserts } = shape;
      return { token, statuses, inserts, keys: deal(keys[source], writers) };
    };
    return planSchema.parse(
      JSON.parse(
        JSON.stringify({
          writers,
          sources: { kit: part('kit'), practitioner_kits: part('practitioner_kits') },
        }),
      ),
    );
  } finally {
    await client.end();
  }
};

const load = async (directory: string): Promise<StoredPlan | undefined> => {
  try {
    return planSchema.parse(JSON.parse(await readFile(join(directory, FILE), 'utf8')));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
};

/**
 * The plan of this run: the one in the run's directory, or a new one. A new one needs the legacy tables
 * to be authoritative, because what can be written is found by trying.
 */
export const writersPlan = async (
  db: Database,
  binding: Binding,
  options: { readonly directory: string; readonly writerUrl: string; readonly writers: number },
): Promise<WritersPlan> => {
  let stored = await load(options.directory);
  if (stored === undefined) {
    stored = await makePlan(db, binding, options.writerUrl, options.writers);
    await writeFile(join(options.directory, FILE), JSON.stringify(stored), {
      mode: 0o600,
      flush: true,
    });
  }
  const { writers, sources } = stored;
  const shapeOf = (source: Source): WriteShape | undefined => {
    const part = sources[source];
    return part === undefined
      ? undefined
      : {
          source,
          bound: binding.sources[source],
          kits: binding.kits,
          token: { legacyColumn: part.token.legacyColumn, kitsColumn: part.token.kitsColumn },
          statuses: part.statuses,
          inserts: part.inserts,
        };
  };
  const shapes = { kit: shapeOf('kit'), practitioner_kits: shapeOf('practitioner_kits') };
  return {
    writers,
    shapes,
    keys: {
      kit: sources.kit?.keys ?? [],
      practitioner_kits: sources.practitioner_kits?.keys ?? [],
    },
    written: writtenColumns(binding, shapes),
  };
};
