import pg from 'pg';

export interface Load {
  /** Transactions per second since the load began. */
  stop(): Promise<{ readonly perSecond: number; readonly latenciesMs: readonly number[] }>;
}

/**
 * Clients that update single rows of both legacy tables (or of `kits`) at random, as fast as they can or
 * at a rate.
 *
 * @param perSecond transactions per second over all clients; undefined saturates
 */
export const startLoad = async (
  url: string,
  options: {
    readonly clients: number;
    readonly rows: number;
    readonly perSecond?: number;
    readonly table?: () => 'legacy' | 'kits';
  },
): Promise<Load> => {
  let running = true;
  const latenciesMs: number[] = [];
  const began = performance.now();
  const half = Math.floor(options.rows / 2);
  const client = async (nth: number) => {
    const connection = new pg.Client({ connectionString: url });
    connection.on('error', () => {});
    await connection.connect();
    const interval =
      options.perSecond === undefined ? 0 : (1000 * options.clients) / options.perSecond;
    for (
      let due = performance.now() + (interval * nth) / options.clients;
      running;
      due += interval
    ) {
      const wait = due - performance.now();
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
      const n = 1 + Math.floor(Math.random() * half);
      const start = performance.now();
      await update(connection, options.table?.() ?? 'legacy', n).catch((error: unknown) => {
        // The fence tells a client with a stale idea of the store; the next write goes to the other one.
        if (running && !(error instanceof pg.DatabaseError && error.code === 'KF001')) throw error;
      });
      latenciesMs.push(performance.now() - start);
    }
    await connection.end();
  };
  const clients = Promise.all(Array.from({ length: options.clients }, (_, nth) => client(nth)));
  return {
    async stop() {
      running = false;
      await clients;
      return { perSecond: (1000 * latenciesMs.length) / (performance.now() - began), latenciesMs };
    },
  };
};

const update = (connection: pg.Client, table: 'legacy' | 'kits', n: number) => {
  if (table === 'kits')
    return connection.query({
      name: 'kits',
      text: `update kits set order_id = $2, updated_at = now() where source = 'kit' and legacy_id = $1`,
      values: [String(n), `O${n}`],
    });
  return n % 2 === 0
    ? connection.query({
        name: 'kit',
        text: 'update kit set order_id = $2, updated_at = now() where id = $1',
        values: [n, `O${n}`],
      })
    : connection.query({
        name: 'practitioner_kits',
        text: `update practitioner_kits set order_id = $2, updated_at = now() where id = md5('pk' || $1)::uuid`,
        values: [String(n), `O${n}`],
      });
};

/** The value below which a share of the values lies. */
export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
};
