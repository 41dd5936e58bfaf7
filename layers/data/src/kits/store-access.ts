import { setTimeout as sleep } from 'node:timers/promises';
import {
  type FlagSource,
  type Mapping,
  STAGE_DEFINITIONS,
  type Stage,
  type Store,
  StoreUnsettled,
} from '@unified-kits/domain';
import type { Database, Session, TransactionOptions } from '../connection/database.ts';
import { isLostConnection } from '../connection/lost-connection.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';
import { bindService, type ServiceBinding } from './bind-service.ts';
import type { Reading } from './kit-store.ts';
import { type RouterObserver, storeRouter } from './store-router.ts';
import { survivingFlags } from './surviving-flags.ts';
import { isSchemaChange, WrongStore, writeFault } from './write-faults.ts';

export interface StoreAccessOptions {
  readonly db: Database;
  readonly mapping: Mapping;
  readonly flags: FlagSource;
  readonly observer: RouterObserver;
  /** Reads from this store alone, whatever the flags say, and refuses writes: for the contract check. */
  readonly only?: Store;
}

export const READ: TransactionOptions = {
  asApplication: true,
  readOnly: true,
  lockTimeoutMs: 2_000,
  statementTimeoutMs: 5_000,
};
/** Longer than a flip waits for its locks, so that a client queues behind it and is not sent away. */
const WRITE: TransactionOptions = {
  asApplication: true,
  lockTimeoutMs: 5_000,
  statementTimeoutMs: 10_000,
};

/** Tries of a transaction that was undone through no fault of its own. */
const MOST_TRIES = 4;

/** Whether a transaction is undone, and the next one may well fare better. */
const isUndone = (error: unknown, committing: boolean): boolean =>
  hasSqlState(error, SQLSTATE.deadlockDetected, SQLSTATE.serializationFailure) ||
  // Once the commit is on its way nobody knows whether it has arrived.
  (!committing && isLostConnection(error));

/** @throws {StoreUnsettled} when others hold what it needs, or undo it again and again. */
const inTransaction = async <Result>(
  db: Database,
  options: TransactionOptions,
  work: (session: Session) => Promise<Result>,
): Promise<Result> => {
  for (let tries = 1; ; tries += 1) {
    let committing = false;
    try {
      return await db.transaction(options, async (session) => {
        const result = await work(session);
        committing = true;
        return result;
      });
    } catch (error) {
      // Not again: a client has waited long enough by now, and so has whoever waits for the connection.
      const held = hasSqlState(error, SQLSTATE.lockNotAvailable);
      if (!held && !isUndone(error, committing)) throw error;
      if (held || tries >= MOST_TRIES)
        throw new StoreUnsettled('the kit is being changed by others: try again', { cause: error });
      await sleep(Math.random() * 20 * 2 ** tries);
    }
  }
};

/** @throws {WrongStore} where a stage's writes go to the other store. */
export const assertAuthoritative = (store: Store, stage: Stage): void => {
  if (STAGE_DEFINITIONS[stage].writes !== store)
    throw new WrongStore(`stage "${stage}" writes to the other store`);
};

/** A store's tables are not there, not as they were, or no longer ours to use. */
const isBroken = (error: unknown): boolean =>
  isSchemaChange(error) || hasSqlState(error, SQLSTATE.insufficientPrivilege);

/** Transactions on the right store, for whoever reads and writes kits. */
export interface StoreAccess {
  bound(): Promise<ServiceBinding>;
  /** One transaction on the store that may answer; see `storeRouter`. */
  reading<Value>(
    read: (service: ServiceBinding, store: Store, session: Session) => Promise<Reading<Value>>,
  ): Promise<Value>;
  /** One transaction on the authoritative store; see `storeRouter`. */
  writing<Value>(
    write: (service: ServiceBinding, store: Store, session: Session) => Promise<Value>,
  ): Promise<Value>;
}

/** It binds the mapping when first used, and anew when the schema has changed. */
export const storeAccess = ({
  db,
  mapping,
  flags,
  observer,
  only,
}: StoreAccessOptions): StoreAccess => {
  const router = storeRouter(survivingFlags(flags), observer);
  let known: Promise<ServiceBinding> | undefined;
  const bound = (): Promise<ServiceBinding> => {
    known ??= db
      .transaction({ asApplication: true, readOnly: true }, (session) =>
        bindService(session, mapping),
      )
      .catch((error: unknown) => {
        known = undefined;
        throw error;
      });
    return known;
  };

  /**
   * A column that was dropped or renamed since: bound anew, once. Where the mapping no longer fits, what is
   * known stays in use, for that may be the fault of the store that is not asked.
   */
  const withBinding = async <Result>(
    work: (service: ServiceBinding) => Promise<Result>,
  ): Promise<Result> => {
    const before = bound();
    try {
      return await work(await before);
    } catch (error) {
      if (!isSchemaChange(error)) throw error;
      if (known === before) known = undefined;
      const service = await bound().catch(() => {
        known ??= before;
        throw error;
      });
      return work(service);
    }
  };

  /**
   * The stage, where a store broke that does not lead in it: flags may ask for `kits` before phase 1 has made
   * it, or still for legacy tables that have been changed since. The other store is whole.
   */
  const brokeAside = async (store: Store, error: unknown): Promise<Stage | undefined> => {
    if (only !== undefined || !isBroken(error)) return undefined;
    const [row] = await db.query<{ stage: Stage }>('select stage from migration.stage', [], READ);
    return row !== undefined && STAGE_DEFINITIONS[row.stage].writes !== store
      ? row.stage
      : undefined;
  };

  const reading = <Value>(
    read: (service: ServiceBinding, store: Store, session: Session) => Promise<Reading<Value>>,
  ): Promise<Value> => {
    const attempt = (store: Store): Promise<Reading<Value | undefined>> =>
      withBinding((service) =>
        inTransaction<Reading<Value | undefined>>(db, READ, (session) =>
          read(service, store, session),
        ).catch(async (error: unknown) => {
          const stage = await brokeAside(store, error);
          if (stage === undefined) throw error;
          return { value: undefined, stage, inStep: false };
        }),
      );
    const reading = only === undefined ? router.read(attempt) : attempt(only);
    // Without a value the store was not in step, and the router has asked the other one.
    return reading.then(({ value }) => value as Value);
  };

  const writing = <Value>(
    write: (service: ServiceBinding, store: Store, session: Session) => Promise<Value>,
  ): Promise<Value> => {
    if (only !== undefined) throw new TypeError('a service of one store alone does not write');
    return router.write((store) =>
      withBinding((service) =>
        inTransaction(db, WRITE, async (session) => {
          try {
            return await write(service, store, session);
          } catch (error) {
            throw writeFault(service, error);
          }
        }).catch(async (error: unknown) => {
          throw (await brokeAside(store, error)) === undefined
            ? error
            : new WrongStore('this store is broken, and the other one leads');
        }),
      ),
    );
  };

  return { bound, reading, writing };
};
