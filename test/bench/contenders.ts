import { pipeline } from 'node:stream/promises';
import {
  type Binding,
  beginBatch,
  buildSecondaryIndexes,
  copyLane,
  createSecondaryIndex,
  type Database,
  flip,
  type Projection,
  planCopy,
  project,
  quoteIdentifier,
  SECONDARY_INDEXES,
  type Session,
} from '@unified-kits/data';
import { SOURCES } from '@unified-kits/domain';
import { from as copyFrom } from 'pg-copy-streams';
import Cursor from 'pg-cursor';

/** One way to fill `kits`: how many rows it wrote in the time it took. */
export interface Contender {
  readonly name: string;
  /** Rows to copy; the slow ones copy a part, and rows per second is what counts. */
  readonly limit?: number;
  /** Whether all indexes are in place before it starts, outside its time. */
  readonly fullyIndexed?: boolean;
  run(db: Database, binding: Binding, limit: number | undefined): Promise<number>;
}

const LANES = 2;

const columns = (projection: Projection) =>
  projection.forward.map(({ column }) => quoteIdentifier(column)).join(', ');

const select = (projection: Projection, limit: number | undefined) =>
  `select ${projection.forward.map(({ expression, column }) => `${expression} as ${quoteIdentifier(column)}`).join(', ')} from ${projection.legacyFrom} order by ${projection.legacyKey}${limit === undefined ? '' : ` limit ${limit}`}`;

const engine = <Result>(db: Database, work: (session: Session) => Promise<Result>) =>
  db.transaction({ asEngine: true, statementTimeoutMs: 0 }, work);

/** Per source, as all contenders but ours do. */
const eachSource = async (
  binding: Binding,
  work: (projection: Projection) => Promise<number>,
): Promise<number> => {
  let rows = 0;
  for (const source of SOURCES) rows += await work(project(binding, binding.sources[source]));
  return rows;
};

const rawInsert = (db: Database, binding: Binding) =>
  eachSource(binding, (projection) =>
    engine(
      db,
      async (session) =>
        (
          await session.query(
            `insert into ${binding.kits} (${columns(projection)}) ${select(projection, undefined)}`,
          )
        ).rowCount ?? 0,
    ),
  );

export const buildIndexes = (db: Database, binding: Binding) =>
  engine(db, async (session) => {
    await session.query(`set local maintenance_work_mem = '256MB'`);
    for (const index of SECONDARY_INDEXES)
      await session.query(createSecondaryIndex(binding, index));
  });

const readPart = (db: Database, projection: Projection, limit: number) =>
  engine(db, async (session) => (await session.query(select(projection, limit))).rows);

const insertMany = async (db: Database, binding: Binding, limit: number, perStatement: number) =>
  eachSource(binding, async (projection) => {
    const width = projection.forward.length;
    const rows = await readPart(db, projection, limit / 2);
    for (let at = 0; at < rows.length; at += perStatement) {
      const part = rows.slice(at, at + perStatement);
      const tuples = part.map(
        (_, row) =>
          `(${Array.from({ length: width }, (__, column) => `$${row * width + column + 1}`).join(', ')})`,
      );
      await engine(db, (session) =>
        session.query(
          `insert into ${binding.kits} (${columns(projection)}) values ${tuples.join(', ')}`,
          part.flatMap((row) => Object.values(row)),
        ),
      );
    }
    return rows.length;
  });

const copyText = (value: unknown): string => {
  if (value === null || value === undefined) return '\\N';
  const text =
    value instanceof Date
      ? value.toISOString()
      : typeof value === 'object'
        ? JSON.stringify(value)
        : String(value);
  return text.replace(
    /[\\\n\r\t]/g,
    (character) =>
      ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[character] ?? character,
  );
};

const copyThroughNode = (db: Database, binding: Binding) =>
  eachSource(binding, (projection) =>
    engine(db, async (reader) => {
      let rows = 0;
      const cursor = reader.query(new Cursor(select(projection, undefined)));
      async function* lines() {
        for (;;) {
          const part: Record<string, unknown>[] = await cursor.read(1_000);
          if (part.length === 0) return;
          rows += part.length;
          yield part.map((row) => `${Object.values(row).map(copyText).join('\t')}\n`).join('');
        }
      }
      await engine(db, (writer) =>
        pipeline(
          lines,
          writer.query(copyFrom(`copy ${binding.kits} (${columns(projection)}) from stdin`)),
        ),
      );
      return rows;
    }),
  );

/** Ours as the workflow runs it: plan, lanes, remaining indexes. Capture is on, nobody writes. */
const ours = async (db: Database, binding: Binding) => {
  const { id } = await engine(db, (session) =>
    beginBatch(session, binding, { kind: 'full', reportId: null, actor: 'bench', phase: 'bench' }),
  );
  await flip(db, binding, { to: 'copying', batchId: id, phase: 'bench', actor: 'bench' });
  await planCopy(db, binding, id, 'bench');
  const lane = () =>
    copyLane(db, binding, {
      batchId: id,
      deadline: Number.POSITIVE_INFINITY,
      rowsPerSecond: async () => undefined,
      unwell: async () => undefined,
    });
  const results = await Promise.all(Array.from({ length: LANES }, lane));
  await buildSecondaryIndexes(db, binding);
  return results.reduce((sum, { rows }) => sum + rows, 0);
};

export const OURS: Contender = { name: 'unified-kits', run: ours };

/** The contenders of the copy; all use the same projection, so that only the way of copying differs. */
export const CONTENDERS: readonly Contender[] = [
  OURS,
  {
    name: 'a: one INSERT … SELECT, all indexes',
    fullyIndexed: true,
    run: rawInsert,
  },
  {
    name: 'b: one INSERT … SELECT, then the indexes',
    run: async (db, binding) => {
      const rows = await rawInsert(db, binding);
      await buildIndexes(db, binding);
      return rows;
    },
  },
  {
    name: 'c: row by row through node-pg',
    limit: 4_000,
    fullyIndexed: true,
    run: (db, binding, limit) => insertMany(db, binding, limit ?? 0, 1),
  },
  {
    name: 'd: multi-row inserts of 1,000',
    limit: 60_000,
    fullyIndexed: true,
    run: (db, binding, limit) => insertMany(db, binding, limit ?? 0, 1_000),
  },
  { name: 'e: cursor and COPY through Node', fullyIndexed: true, run: copyThroughNode },
];
