import type { Session } from '../connection/database.ts';

export interface ParityProof {
  readonly runId: string;
  readonly compared: number;
  readonly mismatched: number;
}

/** The last finished parity run of a batch in a stage's epoch; a sample never finishes. */
export const readParityProof = async (
  session: Session,
  { batchId, epoch }: { readonly batchId: string | null; readonly epoch: number },
): Promise<ParityProof | undefined> =>
  (
    await session.query(
      `select id as "runId", compared::float8 as compared, mismatched::float8 as mismatched from migration.parity_run
        where batch_id = $1 and epoch = $2 and finished_at is not null order by started_at desc limit 1`,
      [batchId, epoch],
    )
  ).rows[0];

/** The last finished parity run of a batch, in whatever stage it was. */
export const readLastProof = async (
  session: Session,
  batchId: string,
): Promise<ParityProof | undefined> =>
  (
    await session.query(
      `select id as "runId", compared::float8 as compared, mismatched::float8 as mismatched from migration.parity_run
        where batch_id = $1 and finished_at is not null order by started_at desc limit 1`,
      [batchId],
    )
  ).rows[0];
