import type { Store } from '@unified-kits/domain';
import pg from 'pg';
import type { History } from './history.ts';
import { assignmentsOf, makeChange, NotThere, type SqlChange } from './sql-changes.ts';
import { type Isolation, mirrorThatFailed } from './sql-client.ts';

/** A transaction of plain SQL that is led step by step: one operation of the history, and never tried again. */
export class StagedTransaction {
  readonly #session: pg.Client;
  readonly #history: History;
  readonly #name: string;
  readonly #isolation: Isolation;
  #op: number | undefined;

  private constructor(session: pg.Client, history: History, name: string, isolation: Isolation) {
    this.#session = session;
    this.#history = history;
    this.#name = name;
    this.#isolation = isolation;
  }

  /** Takes its snapshot. */
  static async begin(
    url: string,
    history: History,
    name: string,
    isolation: Isolation,
  ): Promise<StagedTransaction> {
    const session = new pg.Client({
      connectionString: url,
      application_name: 'prove-staged',
      connectionTimeoutMillis: 5_000,
    });
    session.on('error', () => undefined);
    await session.connect();
    await session.query(
      `set lock_timeout = '3s'; set statement_timeout = '8s'; begin isolation level ${isolation}; select count(*) from users`,
    );
    return new StagedTransaction(session, history, name, isolation);
  }

  #returned(error: unknown, committing: boolean): void {
    if (this.#op === undefined) return;
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    const lost = code === undefined || code.startsWith('57P') || code.startsWith('08');
    const refusedBy = mirrorThatFailed(error, this.#isolation);
    this.#history.returned(this.#op, committing && lost ? 'unknown' : 'failed', {
      fault: error instanceof NotThere ? 'not there' : (code ?? 'connection lost'),
      ...(refusedBy === undefined ? {} : { refusedBy }),
    });
  }

  /** @returns the kits' legacy ids; undefined when it was refused, and so is over. */
  async write(store: Store, changes: readonly SqlChange[]): Promise<readonly string[] | undefined> {
    const writes = changes.flatMap(assignmentsOf);
    this.#op = this.#history.invoke(this.#name, { do: 'write', by: 'sql', writes });
    try {
      const ids: string[] = [];
      for (const change of changes) ids.push(await makeChange(this.#session, store, change));
      return ids;
    } catch (error) {
      this.#returned(error, false);
      await this.end();
      return undefined;
    }
  }

  /** @returns whether it was acknowledged. */
  async commit(): Promise<boolean> {
    try {
      await this.#session.query('commit');
      if (this.#op !== undefined) this.#history.returned(this.#op, 'ok');
      return true;
    } catch (error) {
      this.#returned(error, true);
      return false;
    } finally {
      await this.end();
    }
  }

  /** Leaves what was not committed undone. */
  async end(): Promise<void> {
    await this.#session.end().catch(() => undefined);
  }
}
