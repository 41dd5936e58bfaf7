import type { Kit, Source } from '@unified-kits/domain';
import type { Session } from '../connection/database.ts';
import { NOTED_PRACTITIONER } from './changed-owners.ts';

/** What a kit may be noted by: its own key, or its practitioner, whose user has changed. */
export type NotedBy = Pick<Kit, 'source' | 'legacyId' | 'practitionerId'>;

/** Of some kits, those that wait to be re-synchronised: until then the two stores may show them differently. */
export const notedAmong = async <Noted extends NotedBy>(
  session: Session,
  kits: readonly Noted[],
): Promise<readonly Noted[]> => {
  const { rows } = await session.query<{ source: Source; legacyId: string }>(
    `with asked as (select * from unnest($1::text[], $2::text[], $3::text[]) k(source, legacy_id, practitioner))
     select k.source, k.legacy_id as "legacyId" from asked k join migration.pending_sync p on p.source = k.source and p.legacy_id = k.legacy_id
     union
     select k.source, k.legacy_id from asked k join migration.pending_sync p on p.source = $4 and p.legacy_id = k.practitioner`,
    [
      kits.map(({ source }) => source),
      kits.map(({ legacyId }) => legacyId),
      kits.map(({ practitionerId }) => practitionerId),
      NOTED_PRACTITIONER,
    ],
  );
  return kits.filter((kit) =>
    rows.some(({ source, legacyId }) => source === kit.source && legacyId === kit.legacyId),
  );
};
