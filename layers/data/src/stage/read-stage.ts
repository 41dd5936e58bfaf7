import type { Stage } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

export interface StageRow {
  readonly stage: Stage;
  /** Rises with every flip. */
  readonly epoch: number;
  readonly batchId: string | null;
  readonly actor: string;
  readonly since: Date;
}

const READ = `select stage, epoch, batch_id as "batchId", actor, since from migration.stage`;

/** The stage that holds now. */
export const readStage = async (session: Session): Promise<StageRow> =>
  (await session.query(READ)).rows[0];

/** The same, keeping flips out until the transaction ends; others may hold it too. */
export const holdStage = async (session: Session): Promise<StageRow> =>
  (await session.query(`${READ} for share`)).rows[0];

/** The same, keeping other flips out until the transaction ends. */
export const lockStage = async (session: Session): Promise<StageRow> =>
  (await session.query(`${READ} for update`)).rows[0];
