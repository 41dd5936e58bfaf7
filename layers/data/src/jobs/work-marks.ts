import type { Session } from '../connection/database.ts';

/** Marks work as under way until it is unmarked, or its worker's time is over. Returns the mark. */
export const markWork = async (
  session: Session,
  worker: string,
  deadline: number,
): Promise<string> => {
  const { rows } = await session.query(
    `insert into kits_service.work_mark (worker, deadline) values ($1, to_timestamp($2::float8 / 1000)) returning id`,
    [worker, deadline],
  );
  return rows[0].id;
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
