import type { Session } from '../connection/database.ts';

/** Work under way. */
export interface WorkMark {
  /** A UUID: the request's, so that it can be found in the worker's log. */
  readonly id: string;
  /** What works: a function's folder. */
  readonly worker: string;
  /** How long its worker may still work, in milliseconds. */
  readonly remainingMs: number;
}

/**
 * Marks work as under way until it is unmarked, or its worker's time is over. By the server's clock: a worker
 * whose own was an hour ahead would, once dead, keep a pause waiting for an hour.
 */
export const markWork = async (
  session: Session,
  { id, worker, remainingMs }: WorkMark,
): Promise<void> => {
  await session.query(
    `insert into kits_service.work_mark (id, worker, deadline) values ($1, $2, clock_timestamp() + $3::float8 * interval '1 millisecond')`,
    [id, worker, remainingMs],
  );
};

export const unmarkWork = async (session: Session, id: string): Promise<void> => {
  await session.query(`delete from kits_service.work_mark where id = $1`, [id]);
};

/** Work under way, with when it began; marks of workers that died and are past their time are cleared. */
export const readWork = async (
  session: Session,
  worker: string,
): Promise<readonly { readonly id: string; readonly since: Date }[]> => {
  await session.query(
    `delete from kits_service.work_mark where worker = $1 and deadline < clock_timestamp()`,
    [worker],
  );
  const { rows } = await session.query(
    `select id, started_at as since from kits_service.work_mark where worker = $1 order by started_at`,
    [worker],
  );
  return rows;
};
