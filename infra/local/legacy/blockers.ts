import type { Session } from '@unified-kits/data';
import type { FindingCode } from '@unified-kits/domain';

/** A user that is there, and no practitioner's. */
const FREE_USER = `(select u.id from public.users u where not exists (select from public.practitioners p where p.user_id = u.id) order by u.id limit 1)`;
const ANY_PRACTITIONER = `(select id from public.practitioners where user_id is not null order by id limit 1)`;

/**
 * One of every kind of blocker that rows can be, each in rows of its own so that the analysis must find
 * each by itself. Deterministic, so that a second plant would fail on a key rather than double them.
 */
const PLANTS: readonly string[] = [
  // A practitioner without a user, and two who share one.
  `insert into public.practitioners (id, user_id) values (md5('blocker no user')::uuid, null)`,
  `insert into public.practitioners (id, user_id) select md5('blocker shared ' || n)::uuid, ${FREE_USER} from generate_series(1, 2) n`,
  `insert into public.practitioners (id, user_id) values (md5('blocker ghost')::uuid, md5('blocker nobody')::uuid)`,
  // One kit number twice: within each table, and across both.
  `insert into public.kit (kit_number, user_id) select 'BLOCKER-TWICE-KIT', ${FREE_USER} from generate_series(1, 2)`,
  `insert into public.practitioner_kits (id, kit_number, practitioner_id) select md5('blocker twice ' || n)::uuid, 'BLOCKER-TWICE-PRO', ${ANY_PRACTITIONER} from generate_series(1, 2) n`,
  `insert into public.kit (kit_number, user_id) select 'BLOCKER-BOTH', ${FREE_USER}`,
  `insert into public.practitioner_kits (id, kit_number, practitioner_id) values (md5('blocker both')::uuid, 'BLOCKER-BOTH', ${ANY_PRACTITIONER})`,
  // No number, in the three ways of having none.
  `insert into public.kit (kit_number, user_id) select number, ${FREE_USER} from (values (null), (''), ('  \t')) v(number)`,
  `insert into public.practitioner_kits (id, kit_number, practitioner_id) values (md5('blocker numberless')::uuid, null, ${ANY_PRACTITIONER})`,
  // No owner: none named, or one that does not exist.
  `insert into public.kit (kit_number, user_id) values ('BLOCKER-NO-OWNER', null), ('BLOCKER-UNKNOWN-OWNER', md5('blocker nobody')::uuid)`,
  `insert into public.practitioner_kits (id, kit_number, practitioner_id) values
       (md5('blocker ownerless')::uuid, 'BLOCKER-NO-PRACTITIONER', null),
       (md5('blocker orphan')::uuid, 'BLOCKER-UNKNOWN-PRACTITIONER', md5('blocker nobody')::uuid),
       (md5('blocker userless')::uuid, 'BLOCKER-PRACTITIONER-WITHOUT-USER', md5('blocker no user')::uuid)`,
  // No status (the table must allow it first), and one that no mapping names.
  `alter table public.kit alter column status drop not null`,
  `insert into public.kit (kit_number, user_id, status) select 'BLOCKER-NO-STATUS', ${FREE_USER}, null`,
  `insert into public.kit (kit_number, user_id, status) select 'BLOCKER-STATUS', ${FREE_USER}, 'misplaced'`,
  `insert into public.practitioner_kits (id, kit_number, practitioner_id, status) values (md5('blocker status')::uuid, 'BLOCKER-PRO-STATUS', ${ANY_PRACTITIONER}, 'misplaced')`,
  // A kit number that no index page can hold; the table's own index would refuse it first.
  `drop index if exists public.kit_number_idx`,
  `insert into public.kit (kit_number, user_id) select string_agg(md5(n::text), '' order by n), ${FREE_USER} from generate_series(1, 100) n`,
];

/** The codes of the findings that a planted data set must show. */
export const PLANTED_BLOCKERS: readonly FindingCode[] = [
  'PRACTITIONER_WITHOUT_USER',
  'PRACTITIONER_USER_UNKNOWN',
  'PRACTITIONERS_SHARE_USER',
  'DUPLICATE_IN_KIT',
  'DUPLICATE_IN_PRACTITIONER_KITS',
  'DUPLICATE_ACROSS',
  'KIT_NUMBER_MISSING',
  'KIT_OWNER_MISSING',
  'KIT_OWNER_UNKNOWN',
  'STATUS_MISSING',
  'UNMAPPED_VALUE',
  'VALUE_TOO_LONG',
];

/** Plants every kind of blocker into the generated data, in the caller's transaction. */
export const plantBlockers = async (session: Session): Promise<void> => {
  for (const statement of PLANTS) await session.query(statement);
};
