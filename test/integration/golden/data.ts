import { openDatabase } from '@unified-kits/data';
import { type Caller, digest, referenceMapping } from '@unified-kits/domain';
import pg from 'pg';
import { REFERENCE_SCHEMA } from '../../../infra/local/legacy/reference-schema.ts';
import { freshDatabase } from '../../support/database.ts';
import type { LegacyDatabase } from '../../support/legacy.ts';

const uuid = (kind: string, n: number) => `${kind.repeat(8)}-0000-4000-8000-00000000000${n}`;

const ADA = uuid('a', 1);
const BOB = uuid('b', 2);
const DORA = uuid('d', 3);
const ELI = uuid('e', 4);
const DORAS_PRACTICE = uuid('c', 1);
const ELIS_PRACTICE = uuid('c', 2);

/** Who asks in the golden files; `dora` is the practitioner's user without the claim. */
export const CALLERS = {
  ada: { userId: ADA },
  bob: { userId: BOB },
  dora: { userId: DORA },
  practitioner: { userId: DORA, practitionerId: DORAS_PRACTICE },
  'another practitioner': { userId: ELI, practitionerId: ELIS_PRACTICE },
} as const satisfies Readonly<Record<string, Caller>>;

export const PRACTICE = `/practitioners/${DORAS_PRACTICE}/kits`;
export const practitionerKit = (n: number) => uuid('f', n);

/** Larger than a double holds, so that a kit made by a request is told by its id alone. */
export const FIRST_NEW_ID = 8_000_000_000_000_000_001n;

/**
 * Fixed rows: every status of both vocabularies, nulls and empty texts, Unicode, JSON with more digits than
 * a double has, and times that ISO 8601 cannot say.
 */
const DATA = `
insert into users values ('${ADA}'), ('${BOB}'), ('${DORA}'), ('${ELI}');
insert into practitioners values ('${DORAS_PRACTICE}', '${DORA}'), ('${ELIS_PRACTICE}', '${ELI}');
insert into kit (id, kit_number, user_id, status, kit_type, order_id, metadata, notes, registered_at, collected_at, received_at, resulted_at, created_at, updated_at) values
(1, 'G-1', '${ADA}', 'created', null, null, null, null, null, null, null, null, '2024-01-01 10:00:00.000001+00', '2024-01-01 10:00:00.000001+00'),
(2, 'G-2 Ü/é 😀', '${ADA}', 'registered', 'DNA–ÄÖ😀', 'say "hi" \\ /', '{"exact": 12345678901234567890.123456789012345678901234567890, "tiny": 1e-30, "zero": 0.00, "naïve": ["😀", null, true, {"": {}}]}', E'first\\nsecond\\ttab', '2024-01-02 00:00:00+00', null, null, null, '2024-01-02 00:00:00+02', '2024-01-02 00:00:00.5+00'),
(3, 'G-3', '${ADA}', 'collected', '', '', '{}', '', '2024-01-03 01:02:03.456789+00', '2024-01-03 01:02:03.4567+00', null, null, '1969-12-31 23:59:59.999999+00', null),
(4, 'G-4', '${ADA}', 'received', 'GUT', 'O-4', '[1, "two", null, 3.0]', 'n', '-infinity', null, '2024-01-04 00:00:00+00', 'infinity', null, '2024-01-04 00:00:00+00'),
(5, 'G-5', '${ADA}', 'processing', 'GUT', 'O-5', '"text"', null, '0044-03-15 12:00:00+00 BC', '0001-01-01 00:00:00+00', null, null, 'infinity', '12345-06-01 10:00:00+00'),
(6, 'G-6', '${ADA}', 'completed', 'DNA', 'O-6', 'null', null, '2024-02-01 00:00:00+00', '2024-02-02 00:00:00+00', '2024-02-03 00:00:00+00', '2024-02-04 00:00:00.000001+00', '2024-01-31 00:00:00+00', '2024-02-04 00:00:00.000001+00'),
(7, 'G-7', '${ADA}', 'rejected', 'DNA', 'O-7', '{"a": {"b": [1e400]}}', null, null, null, null, null, '2024-01-07 00:00:00+00', '2024-01-07 00:00:00+00'),
(8, 'G-8', '${ADA}', 'cancelled', 'DNA', 'O-8', 'true', repeat('long ', 300), null, null, null, null, '2024-01-08 00:00:00+00', '2024-01-08 00:00:00+00'),
(9007199254740993, 'G-9', '${BOB}', 'created', null, null, null, null, null, null, null, null, '2024-01-09 00:00:00+00', '2024-01-09 00:00:00+00');
insert into practitioner_kits (id, kit_number, practitioner_id, patient_name, patient_email, status, kit_type, order_id, metadata, registered_at, collected_at, received_at, resulted_at, created_at, updated_at) values
('${practitionerKit(1)}', 'H-1', '${DORAS_PRACTICE}', null, null, 'ordered', null, null, null, null, null, null, null, '2024-03-01 00:00:00+00', '2024-03-01 00:00:00+00'),
('${practitionerKit(2)}', 'H-2', '${DORAS_PRACTICE}', 'Ádám Ödön', 'adam@example.net', 'registered', 'GUT', 'P-2', '{"n": 100000000000000000000.0}', '2024-03-02 00:00:00.000002+00', null, null, null, '2024-03-02 00:00:00+00', '2024-03-02 00:00:00.000002+00'),
('${practitionerKit(3)}', 'H-3', '${DORAS_PRACTICE}', '', '', 'sampled', 'GUT', 'P-3', '[]', null, 'infinity', null, null, '-infinity', 'infinity'),
('${practitionerKit(4)}', 'H-4', '${DORAS_PRACTICE}', 'N', 'n@example.net', 'at_lab', 'GUT', 'P-4', '0.10', null, null, '2024-03-04 00:00:00+00', null, null, null),
('${practitionerKit(5)}', 'H-5', '${DORAS_PRACTICE}', 'N', null, 'processing', 'GUT', 'P-5', null, null, null, null, null, '1800-01-01 00:00:00+00', '2024-03-05 00:00:00+00'),
('${practitionerKit(6)}', 'H-6', '${DORAS_PRACTICE}', 'N', null, 'reported', 'GUT', 'P-6', null, null, null, null, '2024-03-06 00:00:00+00', '2024-03-06 00:00:00+00', '2024-03-06 00:00:00+00'),
('${practitionerKit(7)}', 'H-7', '${DORAS_PRACTICE}', 'N', null, 'rejected', 'GUT', 'P-7', null, null, null, null, null, '2024-03-07 00:00:00+00', '2024-03-07 00:00:00+00'),
('${practitionerKit(8)}', 'H-8', '${DORAS_PRACTICE}', 'N', null, 'cancelled', 'GUT', 'P-8', null, null, null, null, null, '2024-03-08 00:00:00+00', '2024-03-08 00:00:00+00'),
('${practitionerKit(9)}', 'H-9', '${ELIS_PRACTICE}', 'N', null, 'ordered', 'GUT', 'P-9', null, null, null, null, null, '2024-03-09 00:00:00+00', '2024-03-09 00:00:00+00');
select setval(pg_get_serial_sequence('kit', 'id'), ${FIRST_NEW_ID}, false);
analyze kit; analyze practitioner_kits;
`;

/** A database of its own with the fixed rows. */
export const goldenDatabase = async (): Promise<LegacyDatabase> => {
  const database = await freshDatabase({
    template: {
      name: `golden-${digest([REFERENCE_SCHEMA, DATA])}`,
      async build(url) {
        const client = new pg.Client({ connectionString: url });
        await client.connect();
        await client.query(REFERENCE_SCHEMA);
        await client.query(DATA);
        await client.end();
      },
    },
  });
  const db = openDatabase(database.url, 6);
  return {
    ...database,
    get pool() {
      return database.pool;
    },
    db,
    mapping: referenceMapping,
    async drop() {
      await db.close();
      await database.drop();
    },
  };
};
