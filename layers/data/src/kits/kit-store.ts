import type {
  Caller,
  JobReferences,
  Kit,
  KitKey,
  KitReference,
  KitValues,
  Owner,
  Source,
  Stage,
  Store,
} from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import type { FoundBatch } from '../jobs/found-keys.ts';

/** What a store answers, and whether it could be trusted in the snapshot that it answered from. */
export interface Reading<Value> {
  readonly value: Value;
  readonly stage: Stage;
  /** False: the other store has writes that this one has not seen. */
  readonly inStep: boolean;
}

/** A page of kits in the order of a key. */
export interface PageQuery {
  /** Kits after this key; from the beginning without one. */
  readonly after: string | undefined;
  readonly limit: number;
}

/** What must hold for a kit to be born. */
export interface BirthCheck {
  readonly stage: Stage;
  readonly ownerKnown: boolean;
  readonly numberTaken: boolean;
}

/**
 * One of the two places where kits live. Both implementations are generated from the same binding, take the
 * same values and show the same kits. Each method works inside the caller's transaction.
 */
export interface KitStore {
  readonly store: Store;
  /**
   * The kit of a reference, looked for among the caller's own: nobody holds a row of somebody else's, or
   * waits for one. The reference is spelt as the database spells it.
   *
   * @param lock holds the row until the transaction ends
   */
  find(
    session: Session,
    reference: KitReference,
    caller: Caller,
    lock?: 'lock',
  ): Promise<Reading<Kit | undefined>>;
  /** Holds a kit until the transaction ends, whoever owns it: for jobs, which come from no owner. */
  hold(session: Session, key: KitKey): Promise<Reading<Kit | undefined>>;
  /** An owner's kits of one source, by legacy id. */
  list(session: Session, owner: Owner, page: PageQuery): Promise<Reading<readonly Kit[]>>;
  /** All kits that a caller owns, by kits id. */
  listAll(session: Session, caller: Caller, page: PageQuery): Promise<Reading<readonly Kit[]>>;
  /** The kits with these legacy ids, in no order. */
  findMany(session: Session, source: Source, legacyIds: readonly string[]): Promise<readonly Kit[]>;
  /** Looks up the references of a whole batch of jobs, with one query. */
  resolve(session: Session, references: readonly JobReferences[]): Promise<FoundBatch>;
  /** Holds the kit number against other births until the transaction ends, and looks at what a birth needs. */
  checkBirth(session: Session, owner: Owner, kitNumber: string): Promise<BirthCheck>;
  /** @throws pg.DatabaseError KF001 where the other store is authoritative. */
  insert(session: Session, owner: Owner, values: KitValues): Promise<Kit>;
  /** @throws pg.DatabaseError KF001 where the other store is authoritative. */
  update(session: Session, kit: Kit, values: KitValues): Promise<Kit | undefined>;
}
