import { setTimeout as sleep } from 'node:timers/promises';
import { type FlagSource, readsFrom, type Source, type Store } from '@unified-kits/domain';
import pg from 'pg';
import { fencedWrite } from './fenced-write.ts';
import type { Content, Intent, Ledger } from './ledger.ts';
import type { OwnedRows } from './owned-rows.ts';
import { type StoreStatements, statusIn, storeStatements } from './statements.ts';
import type { WriteShape } from './write-shape.ts';

/** What the writers have seen, counted over all of them. */
export interface WriterCounters {
  acknowledged: number;
  failed: number;
  unknown: number;
  /** Writes that the fence refused in one store and the other took. */
  redirected: number;
  /** Reads of a row just written that did not show the write. */
  staleReads: number;
  reads: number;
  readonly latencies: number[];
}

export interface WriterOptions {
  readonly writer: number;
  readonly url: string;
  readonly shapes: Readonly<Record<Source, WriteShape | undefined>>;
  readonly flags: FlagSource;
  readonly ledger: Ledger;
  /** The first free number in the ledger. */
  readonly firstNumber: number;
  readonly rows: OwnedRows;
  readonly random: () => number;
  /** Writes per second. */
  readonly rate: number;
  readonly counters: WriterCounters;
  readonly signal: AbortSignal;
}

type Statements = Readonly<Record<Source, Readonly<Record<Store, StoreStatements>> | undefined>>;
type Planned = Omit<Intent, 'kind' | 'n'> & { readonly template: string | null };

/** Of a hundred writes; the rest are updates. */
const INSERTS = 30;
const DELETES = 15;
const READS_PER_HUNDRED = 25;
/** Short: a column of 16 characters takes both. */
const tokenOf = (writer: number, n: number) =>
  `w${writer.toString(36)}-${n.toString(36).padStart(6, '0')}`;
const numberOf = (writer: number, n: number) => `W${tokenOf(writer, n).slice(1).toUpperCase()}`;

const plan = (options: WriterOptions, n: number): Planned | undefined => {
  const { shapes, rows, random, writer } = options;
  const die = random() * 100;
  const content = (source: Source): Content => {
    const statuses = shapes[source]?.statuses ?? [];
    const pair = statuses[Math.floor(random() * statuses.length)];
    return { token: tokenOf(writer, n), ...(pair === undefined ? {} : { status: pair.unified }) };
  };
  if (die < INSERTS) {
    const template = rows.draw(random, ({ source }) => shapes[source]?.inserts === true);
    if (template !== undefined)
      return {
        op: 'insert',
        source: template.source,
        key: null,
        number: numberOf(writer, n),
        content: content(template.source),
        template: template.key,
      };
  } else if (die < INSERTS + DELETES) {
    const row = rows.draw(random, ({ ours }) => ours);
    if (row !== undefined)
      return {
        op: 'delete',
        source: row.source,
        key: row.key,
        number: null,
        content: null,
        template: null,
      };
  }
  const row = rows.draw(random, ({ source }) => shapes[source] !== undefined);
  return row === undefined
    ? undefined
    : {
        op: 'update',
        source: row.source,
        key: row.key,
        number: null,
        content: content(row.source),
        template: null,
      };
};

const ignore = () => {};

/** A connection that is opened again when it was lost; prepared statements, as a service has them. */
const connection = (url: string) => {
  let client: pg.Client | undefined;
  const open = async () => {
    if (client !== undefined) return client;
    const opened = new pg.Client({ connectionString: url, application_name: 'kits-demo-writer' });
    opened.on('error', () => {
      if (client === opened) client = undefined;
    });
    await opened.connect();
    // A flip holds writers for milliseconds; a service that waits longer than this has given up.
    await opened.query(`set lock_timeout = '10s'`);
    client = opened;
    return opened;
  };
  return {
    /** So that no write has to wait for a connection; one that cannot be had now is tried again then. */
    warmUp: () => open().then(ignore, ignore),
    query: async (name: string, text: string, values: readonly unknown[]) => {
      const opened = await open();
      return (await opened.query({ name, text, values: [...values] })).rows;
    },
    close: async () => {
      await client?.end().catch(() => undefined);
      client = undefined;
    },
  };
};

const perform = (
  query: ReturnType<typeof connection>['query'],
  statements: Statements,
  shapes: WriterOptions['shapes'],
  { op, source, key, number, content, template }: Planned,
) => {
  return async (store: Store): Promise<string | undefined> => {
    const shape = shapes[source];
    const text = statements[source]?.[store][op];
    if (shape === undefined || text === undefined) return undefined;
    const status = content?.status === undefined ? [] : [statusIn(shape, store, content.status)];
    const values =
      op === 'delete'
        ? [key]
        : op === 'update'
          ? [key, content?.token, ...status]
          : [template, content?.token, number, ...status];
    const [row] = await query(`${source}-${store}-${op}`, text, values);
    return row?.key;
  };
};

const remember = (rows: OwnedRows, planned: Planned, result: string, key: string | null): void => {
  const row = planned.key ?? key;
  if (row === null || result === 'failed') return;
  if (result === 'unknown' || planned.op === 'delete' || planned.content === null)
    rows.remove(planned.source, row);
  else
    rows.put({
      source: planned.source,
      key: row,
      ours: planned.op === 'insert' || rows.isOurs(planned.source, row),
    });
};

/**
 * One service instance: inserts, updates and deletes kits until told to stop, at a steady rate, and
 * writes down each write before it tries it and after it is answered.
 */
export const runWriter = async (options: WriterOptions): Promise<void> => {
  const { shapes, flags, ledger, rows, random, rate, counters, signal } = options;
  const statements: Statements = {
    kit: shapes.kit && storeStatements(shapes.kit),
    practitioner_kits: shapes.practitioner_kits && storeStatements(shapes.practitioner_kits),
  };
  const { query, warmUp, close } = connection(options.url);

  const shows = async (store: Store, source: Source, key: string, token: string) => {
    const text = statements[source]?.[store].read ?? '';
    const [row] = await query(`${source}-${store}-read`, text, [[key]]);
    return row?.token === token;
  };
  /** A read in the store that the flags name must show the write just acknowledged. */
  const readBack = async (source: Source, key: string, token: string) => {
    counters.reads += 1;
    const named = readsFrom(await flags.cached());
    if (await shows(named, source, key, token)) return;
    // The flags may be 5 s old, and a key in the backlog is answered from the authoritative store.
    const fresh = readsFrom(await flags.read());
    if (fresh !== named && (await shows(fresh, source, key, token))) return;
    const noted = await query(
      'noted',
      'select from migration.pending_sync where source = $1 and legacy_id = $2 limit 1',
      [source, key],
    );
    if (noted.length === 0 && !(await shows(fresh, source, key, token))) counters.staleReads += 1;
  };

  try {
    await warmUp();
    for (let n = options.firstNumber; !signal.aborted; n += 1) {
      const due = performance.now() + (1_000 / rate) * (0.5 + random());
      const planned = plan(options, n);
      if (planned !== undefined) {
        const { template, ...intent } = planned;
        ledger.append({ kind: 'intent', n, ...intent });
        const began = performance.now();
        const { redirected, ...answer } = await fencedWrite(
          flags,
          perform(query, statements, shapes, planned),
        );
        const ms = performance.now() - began;
        ledger.append({ kind: 'outcome', n, ...answer, ms: Math.round(ms * 100) / 100 });
        remember(rows, planned, answer.result, answer.key);
        if (redirected) counters.redirected += 1;
        if (answer.result === 'ok') {
          counters.acknowledged += 1;
          counters.latencies.push(ms);
          if (planned.content !== null && answer.key !== null && random() * 100 < READS_PER_HUNDRED)
            await readBack(planned.source, answer.key, planned.content.token).catch(
              ignoreLostConnection,
            );
        } else counters[answer.result] += 1;
        if (answer.result === 'unknown') await close();
      }
      const pause = due - performance.now();
      if (pause > 0) await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await close();
    ledger.close();
  }
};

/** A read that got no answer proves nothing either way. */
const ignoreLostConnection = (error: unknown): void => {
  if (error instanceof pg.DatabaseError && !/^(57P0|08|55P03|40P01)/.test(error.code ?? ''))
    throw error;
};
