import {
  type Binding,
  bindMapping,
  type Database,
  installTracking,
  type KitsService,
  kitsService,
  openDatabase,
} from '@unified-kits/data';
import type { Caller, Flags } from '@unified-kits/domain';
import { writerLogin } from '../../infra/local/writers/login.ts';
import type { LegacyDatabase } from './legacy.ts';

const OFF: Flags = {
  unifiedReads: false,
  unifiedWrites: false,
  dualWrite: false,
  migrationInProgress: false,
  shadowReads: 0,
  copyRowsPerSecond: undefined,
};

/** Flags as a service sees them: what it has cached, and what stands in the store. */
export class TestFlags {
  stands: Flags = OFF;
  seen: Flags = OFF;

  /** Sets the flags behind the service's back. */
  set(flags: Partial<Flags>): void {
    this.stands = { ...this.stands, ...flags };
  }

  async cached(): Promise<Flags> {
    return this.seen;
  }

  async read(): Promise<Flags> {
    this.seen = this.stands;
    return this.seen;
  }
}

export interface TestService {
  readonly binding: Binding;
  readonly db: Database;
  readonly service: KitsService;
  readonly flags: TestFlags;
  readonly counts: { redirected: number; staleReadAvoided: number };
  close(): Promise<void>;
}

/** The kits service as the application's login, on a database with nothing but legacy tables. */
export const serviceOn = async (legacy: LegacyDatabase): Promise<TestService> => {
  await installTracking(legacy.db);
  const binding = await legacy.db.transaction({}, (session) =>
    bindMapping(session, legacy.mapping),
  );
  const db = openDatabase(await writerLogin(legacy.db, binding, legacy.url), 4);
  const flags = new TestFlags();
  const counts = { redirected: 0, staleReadAvoided: 0 };
  const service = kitsService({
    db,
    mapping: legacy.mapping,
    flags,
    observer: {
      redirected: () => {
        counts.redirected += 1;
      },
      staleReadAvoided: () => {
        counts.staleReadAvoided += 1;
      },
    },
  });
  return { binding, db, service, flags, counts, close: () => db.close() };
};

/** Owners of the seeded kits (see legacy.ts). */
export const clientOf = async (legacy: LegacyDatabase, n: number): Promise<Caller> => ({
  userId: (await legacy.pool.query(`select md5('user' || $1)::uuid::text as id`, [n])).rows[0].id,
});
export const practitionerOf = async (legacy: LegacyDatabase, n: number): Promise<Caller> => {
  const { rows } = await legacy.pool.query(
    `select md5('user' || $1)::uuid::text as "userId", md5('practitioner' || $1)::uuid::text as "practitionerId"`,
    [n],
  );
  return rows[0];
};
