import { SOURCES, type Source } from '@unified-kits/domain';
import type { ExpectedRow } from './fold-ledger.ts';

interface OwnedRow {
  readonly source: Source;
  readonly key: string;
  /** Inserted by a writer: it may be deleted again. */
  readonly ours: boolean;
}

/** The rows that one writer may write: those dealt to it, and those it inserted. */
export class OwnedRows {
  readonly #rows = new Map<string, OwnedRow>();
  /** The same, for drawing one at random without walking the map. */
  readonly #names: string[] = [];

  /**
   * @param keys existing legacy ids dealt to this writer
   * @param written what an earlier process wrote, from the ledger; doubtful rows are left alone for good
   */
  constructor(keys: Readonly<Record<Source, readonly string[]>>, written: Iterable<ExpectedRow>) {
    for (const source of SOURCES)
      for (const key of keys[source]) this.put({ source, key, ours: false });
    for (const row of written) {
      if (row.key === undefined) continue;
      const [last] = row.possible;
      if (row.doubtful || last === null || last === undefined) this.remove(row.source, row.key);
      else this.put({ source: row.source, key: row.key, ours: row.number !== undefined });
    }
  }

  get size(): number {
    return this.#names.length;
  }

  put(row: OwnedRow): void {
    const name = `${row.source}:${row.key}`;
    if (!this.#rows.has(name)) this.#names.push(name);
    this.#rows.set(name, row);
  }

  remove(source: Source, key: string): void {
    const name = `${source}:${key}`;
    if (!this.#rows.delete(name)) return;
    this.#names.splice(this.#names.indexOf(name), 1);
  }

  isOurs(source: Source, key: string): boolean {
    return this.#rows.get(`${source}:${key}`)?.ours === true;
  }

  /** A row at random, or undefined where there is none; `only` narrows the choice. */
  draw(random: () => number, only: (row: OwnedRow) => boolean): OwnedRow | undefined {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const name = this.#names[Math.floor(random() * this.#names.length)];
      const row = name === undefined ? undefined : this.#rows.get(name);
      if (row !== undefined && only(row)) return row;
    }
    return undefined;
  }
}
