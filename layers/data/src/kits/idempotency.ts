import { IdempotencyKeyInUse, IdempotencyKeyReused } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { hasSqlState, SQLSTATE } from '../connection/sqlstate.ts';

/** A request that may come twice. */
export interface IdempotentRequest {
  /** Whose key it is and under which route: nobody meets another's keys. */
  readonly scope: string;
  readonly key: string;
  /** Of all that the request asks for: the same key with another one is a mistake. */
  readonly fingerprint: string;
}

/** A response as it was given, to be given again. */
export interface StoredResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Claims a key in the transaction of the work, or finds the response of the work that was done. A second
 * request waits for the first one's end at the unique index, up to the lock timeout.
 *
 * @throws {IdempotencyKeyInUse} when the first request is still under way.
 * @throws {IdempotencyKeyReused} when the first request was another one.
 */
export const claimKey = async (
  session: Session,
  { scope, key, fingerprint }: IdempotentRequest,
): Promise<StoredResponse | undefined> => {
  try {
    const { rowCount } = await session.query(
      `insert into kits_service.idempotency_key (scope, key, fingerprint) values ($1, $2, $3) on conflict do nothing`,
      [scope, key, fingerprint],
    );
    if (rowCount === 1) return undefined;
  } catch (error) {
    if (!hasSqlState(error, SQLSTATE.lockNotAvailable, SQLSTATE.queryCanceled)) throw error;
    throw new IdempotencyKeyInUse('the first request with this key is under way: try again');
  }
  const { rows } = await session.query(
    `select fingerprint, response from kits_service.idempotency_key where scope = $1 and key = $2`,
    [scope, key],
  );
  const [found] = rows;
  // Pruned between the two statements: as good as never seen, once it is tried again.
  if (found === undefined) throw new IdempotencyKeyInUse('this key has just expired: try again');
  if (found.fingerprint !== fingerprint)
    throw new IdempotencyKeyReused('this key came with another request before');
  return found.response;
};

/** Keeps the response with what was done: both commit, or neither. */
export const keepResponse = async (
  session: Session,
  { scope, key }: IdempotentRequest,
  response: StoredResponse,
): Promise<void> => {
  await session.query(
    `update kits_service.idempotency_key set response = $3 where scope = $1 and key = $2`,
    [scope, key, JSON.stringify(response)],
  );
};

/**
 * Forgets keys older than a given number of hours, at most `limit` at a time.
 *
 * @returns how many were forgotten.
 */
export const pruneKeys = async (
  session: Session,
  hours: number,
  limit: number,
): Promise<number> => {
  const { rowCount } = await session.query(
    `delete from kits_service.idempotency_key where (scope, key) in (
       select scope, key from kits_service.idempotency_key
        where created_at < now() - $1::float8 * interval '1 hour'
        order by created_at limit $2 for update skip locked)`,
    [hours, limit],
  );
  return rowCount ?? 0;
};
