import pg from 'pg';
import { REFERENCE_SCHEMA } from '../../infra/local/legacy/reference-schema.ts';

/**
 * Rows of about 300 bytes, half in each source. Ids of practitioner kits are random, as uuids are.
 *
 * @param rows rows in both sources together
 */
export const seedBench = async (url: string, rows: number): Promise<void> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const half = Math.floor(rows / 2);
  await client.query(REFERENCE_SCHEMA);
  await client.query(`
    insert into users select md5('user' || n)::uuid from generate_series(0, 9999) n;
    insert into practitioners select md5('practitioner' || n)::uuid, md5('user' || n)::uuid from generate_series(0, 999) n;
    insert into kit (kit_number, user_id, status, kit_type, order_id, metadata, notes, registered_at, collected_at, received_at, created_at, updated_at)
    select 'K' || lpad(n::text, 10, '0'), md5('user' || n % 10000)::uuid, (array['created', 'registered', 'processing', 'completed'])[1 + n % 4],
           'DNA-' || n % 7, 'ORDER-' || n, jsonb_build_object('batch', n % 100, 'site', 'lab ' || n % 13, 'tags', jsonb_build_array('a', 'b')), 'note ' || n,
           timestamptz '2020-01-01' + n * interval '61 seconds', timestamptz '2020-01-02' + n * interval '61 seconds',
           timestamptz '2020-01-03' + n * interval '61 seconds', timestamptz '2020-01-01' + n * interval '60 seconds', timestamptz '2021-01-01' + n * interval '60 seconds'
      from generate_series(1, ${half}) n;
    insert into practitioner_kits (id, kit_number, practitioner_id, patient_name, patient_email, status, kit_type, order_id, metadata, registered_at, created_at, updated_at)
    select md5('pk' || n)::uuid, 'P' || lpad(n::text, 10, '0'), md5('practitioner' || n % 1000)::uuid, 'Patient ' || n, 'patient' || n || '@example.net',
           (array['ordered', 'sampled', 'at_lab', 'reported'])[1 + n % 4], 'GUT-' || n % 5, 'REF-' || n, jsonb_build_object('batch', n % 100, 'units', n % 9),
           timestamptz '2020-06-01' + n * interval '61 seconds', timestamptz '2020-06-01' + n * interval '60 seconds', timestamptz '2021-06-01' + n * interval '60 seconds'
      from generate_series(1, ${half}) n;`);
  await client.query('vacuum (analyze) kit');
  await client.query('vacuum (analyze) practitioner_kits');
  await client.query('checkpoint');
  await client.end();
};
