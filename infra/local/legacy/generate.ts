import type { Session } from '@unified-kits/data';

export interface LegacyDataOptions {
  /** Rows per source. */
  readonly rows: number;
  /** The same number gives the same data, on every Postgres. */
  readonly seed: number;
}

/** Every generated time is counted back from here: `now()` would make no two data sets equal. */
const BASE = `timestamptz '2026-06-01 00:00:00+00'`;

/** 63 pseudo-random bits of a row; measured, random() with setseed is no faster and depends on the plan. */
const bits = (salt: number) => `(hashint8extended(n, $1::bigint + ${salt}) & 9223372036854775807)`;

/** A whole number from 0 to below `limit`, from other bits of the row's hash at each shift. */
const pick = (limit: number, shift: number) => `((h >> ${shift}) % ${limit})`;

/** A null in so many of a hundred rows. */
const sometimes = (perCent: number, shift: number, value: string) =>
  `case when ${pick(100, shift)} < ${perCent} then null else ${value} end`;

const oneOf = (values: readonly string[], shift: number) =>
  `(array[${values.map((value) => `$text$${value}$text$`).join(', ')}])[1 + ${pick(values.length, shift)}]`;

const NOTES = [
  '',
  'left with the neighbour',
  'Größe M, übergeben an Zoë',
  'said "later", twice; it\'s fine',
  'C:\\results\\new\\n',
  '検体は冷蔵 🧊',
  'line one\nline two\ttab',
  ' padded ',
];
const NAMES = [
  'Zoë Ångström',
  "Aoife O'Connor",
  'Łukasz Żółć',
  '李小龍',
  'Renée "Ren" Du Pré',
  'José Ñúñez',
  'Back\\slash',
  'أمل',
];
const METADATA = [
  `jsonb_build_object('lab', 'B' || ${pick(7, 9)}, 'panel', jsonb_build_array(1, 'two', null, jsonb_build_object('three', 3.10)))`,
  `jsonb_build_object('note', $text$quote " and \\ back$text$, 'tags', jsonb_build_array('ä', '', '🧬'), 'none', null)`,
  `jsonb_build_object('deep', jsonb_build_object('a', jsonb_build_object('b', jsonb_build_object('c', n))), 'exact', 12345678901234567890.123456789)`,
  `'{}'::jsonb`,
  `'null'::jsonb`,
  `to_jsonb(n)`,
];

/** With microseconds, here and there missing, and here and there before 1970. */
const CREATED = `case when n % 991 = 0 then null
      when n % 997 = 0 then timestamptz '1969-12-31 23:59:59.999999+00' - ${pick(2_000, 11)} * interval '1 day'
      else ${BASE} - (${rowAge()}) end`;

/** Ids and ages rise together, as in a table that grew. */
function rowAge(): string {
  return `($2::bigint - n) * interval '7 minutes' + ${pick(3_600_000_000, 3)} * interval '1 microsecond'`;
}

const later = (days: number, shift: number) =>
  `created + ${pick(days, shift)} * interval '1 day' + ${pick(86_400_000, shift)} * interval '1001 microseconds'`;

const times = `
         ${sometimes(25, 13, later(20, 14))} as registered_at, ${sometimes(40, 17, later(30, 18))} as collected_at,
         ${sometimes(50, 21, later(40, 22))} as received_at, ${sometimes(60, 25, later(60, 26))} as resulted_at,
         created as created_at, ${sometimes(3, 29, later(90, 30))} as updated_at`;

const metadata = `case ${pick(10, 33)} ${METADATA.map((value, index) => `when ${index} then ${value}`).join(' ')} else null end`;

/** Every 1,000th number differs from the one before it by its case alone: a warning, not a blocker. */
const kitNumber = (prefix: string) =>
  `case when n % 1000 = 0 then lower('${prefix}-' || lpad((n - 1)::text, 8, '0') || 'X')
        when n % 1000 = 999 then '${prefix}-' || lpad(n::text, 8, '0') || 'X'
        when n % 777 = 0 then '${prefix}-Ü' || n || '/"a"'
        else '${prefix}-' || lpad(n::text, 8, '0') end`;

const userId = (expression: string) => `md5('user ' || $1::text || ' ' || (${expression}))::uuid`;
const practitionerId = (expression: string) =>
  `md5('practitioner ' || $1::text || ' ' || (${expression}))::uuid`;

const USERS = `insert into public.users (id) select ${userId('n')} from generate_series(1, $2::bigint) n`;

/** A practitioner has a user of its own; two with one user would be a blocker. */
const PRACTITIONERS = `
insert into public.practitioners (id, user_id)
select ${practitionerId('n')}, ${userId('n')} from generate_series(1, $2::bigint) n`;

const KIT = `
insert into public.kit (id, kit_number, user_id, status, kit_type, order_id, metadata, notes,
                        registered_at, collected_at, received_at, resulted_at, created_at, updated_at)
select n + n / 37, ${kitNumber('KIT')}, ${userId(`1 + h % $3::bigint`)},
       ${oneOf(['created', 'registered', 'collected', 'received', 'processing', 'completed', 'completed', 'rejected', 'cancelled'], 35)},
       ${sometimes(5, 37, oneOf(['DNA', 'GUT', 'VIT-D', 'HORM/3', 'dna'], 39))},
       ${sometimes(15, 41, `'ORD-' || ${pick(900_000, 42)}`)}, ${metadata}, ${sometimes(50, 45, oneOf(NOTES, 47))},
       registered_at, collected_at, received_at, resulted_at, created_at, updated_at
  from (select n, h, ${times}
          from (select n, h, ${CREATED} as created
                  from (select n, ${bits(1)} as h from generate_series(1, $2::bigint) n) hashed) born) r
 order by n`;

const PRACTITIONER_KITS = `
insert into public.practitioner_kits (id, kit_number, practitioner_id, patient_name, patient_email, status, kit_type,
                                      order_id, metadata, registered_at, collected_at, received_at, resulted_at, created_at, updated_at)
select md5('practitioner kit ' || $1::text || ' ' || n)::uuid, ${kitNumber('PRO')}, ${practitionerId(`1 + h % $3::bigint`)},
       ${sometimes(10, 37, oneOf(NAMES, 39))}, ${sometimes(30, 41, `'patient.' || n || '@example.net'`)},
       ${oneOf(['ordered', 'registered', 'sampled', 'at_lab', 'processing', 'reported', 'reported', 'rejected', 'cancelled'], 43)},
       ${sometimes(5, 45, oneOf(['DNA', 'GUT', 'VIT-D', 'HORM/3'], 47))}, ${sometimes(60, 49, `'PO ' || ${pick(90_000, 50)}`)},
       ${metadata}, registered_at, collected_at, received_at, resulted_at, created_at, updated_at
  from (select n, h, ${times}
          from (select n, h, ${CREATED} as created
                  from (select n, ${bits(2)} as h from generate_series(1, $2::bigint) n) hashed) born) r
 order by n`;

/**
 * Fills the reference schema's empty tables: deterministic for a seed, messy like life, and without one
 * blocker. Runs in the caller's transaction.
 */
export const generateLegacy = async (
  session: Session,
  { rows, seed }: LegacyDataOptions,
): Promise<void> => {
  const users = Math.max(40, Math.floor(rows / 12));
  const practitioners = Math.max(8, Math.floor(rows / 150));
  await session.query(USERS, [seed, users]);
  await session.query(PRACTITIONERS, [seed, practitioners]);
  await session.query(KIT, [seed, rows, users]);
  await session.query(PRACTITIONER_KITS, [seed, rows, practitioners]);
  await session.query(
    `select setval(pg_get_serial_sequence('public.kit', 'id'), (select max(id) from public.kit))`,
  );
};
