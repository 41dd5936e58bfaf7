import type { KitEvent } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';

/** Puts an event into the outbox, in the transaction of the change it tells of. */
export const recordKitEvent = async (session: Session, event: KitEvent): Promise<void> => {
  await session.query(`insert into kits_service.kit_event (kits_id, body) values ($1, $2)`, [
    event.kitsId,
    JSON.stringify(event),
  ]);
};
