import { bindMapping, type Database, openDatabase } from '@unified-kits/data';
import { type MappingInput, MappingMismatch, parseMapping } from '@unified-kits/domain';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freshDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await freshDatabase();
  await database.pool.query(`
    create schema clinic;
    create type clinic.state as enum ('new', 'done');
    create collation clinic.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create table clinic.users (id bigint primary key);
    create table clinic.practitioners (id uuid, user_id text);
    create table clinic.kit (
      id numeric primary key,
      user_id text,
      state clinic.state not null,
      metadata json,
      order_id float8,
      born time,
      kind text,
      changed timestamptz
    );
    create table clinic.pk (
      id text collate clinic.loose primary key,
      practitioner_id integer generated always as (5) stored,
      number text,
      status text
    );
    create view clinic.kit_view as select * from clinic.kit;`);
  db = openDatabase(database.url, 2);
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const mapping: MappingInput = {
  version: 1,
  name: 'clinic',
  users: { schema: 'clinic', table: 'users', id: 'uid' },
  sources: {
    kit: {
      schema: 'clinic',
      table: 'kit',
      id: { generator: { kind: 'uuid' } },
      owner: { type: 'client', userId: 'user_id' },
      columns: {
        kitNumber: 'number',
        status: { column: 'state', values: { new: 'created', old: 'completed' } },
        metadata: 'metadata',
        orderId: 'order_id',
        createdAt: 'born',
        updatedAt: { column: 'changed', values: { x: 'y' } },
      },
    },
    practitioner_kits: {
      schema: 'clinic',
      table: 'pk',
      id: { generator: { kind: 'sequence', schema: 'clinic', name: 'pk_ids' } },
      owner: {
        type: 'practitioner',
        practitionerId: 'practitioner_id',
        practitioners: { schema: 'clinic', table: 'practitioners' },
      },
      columns: { kitNumber: 'number', status: 'status' },
    },
  },
};

const refusal = async (input: MappingInput): Promise<string[]> => {
  try {
    await db.transaction({}, (session) => bindMapping(session, parseMapping(input)));
  } catch (error) {
    expect(error).toBeInstanceOf(MappingMismatch);
    return error instanceof Error ? error.message.split('\n') : [];
  }
  throw new Error('the mapping was bound');
};

describe('a mapping that does not match the database', () => {
  it('is refused with every mismatch at once: table, column, type and why', async () => {
    const lossy = (column: string, type: string, unified: string) =>
      `- "clinic"."kit", column "${column}": has type ${type}, which kits.${unified} cannot give back unchanged; leave it out of the mapping and it is kept in legacy_attributes`;
    const owner = (table: string, column: string, type: string, option: string) =>
      `- "clinic"."${table}", column "${column}": has type ${type}, but target.${option} is uuid; set target.${option} to the type of the organisation's own ids`;
    const [head, ...found] = await refusal(mapping);
    expect(head).toBe(`mapping "clinic" does not match the database in ${found.length} places:`);
    expect(found).toEqual([
      '- "clinic"."kit", column "id": has type numeric; an id column is smallint, integer, bigint, uuid, text, character varying',
      owner('kit', 'user_id', 'text', 'userIdType'),
      '- "clinic"."kit", column "number": there is no such column (the mapping uses it as kitNumber)',
      `- "clinic"."kit", column "state": enum clinic.state has the value 'done', which the value map does not name`,
      `- "clinic"."kit", column "state": the value map names 'old', which is not a value of enum clinic.state`,
      lossy('order_id', 'double precision', 'order_id (text)'),
      lossy('metadata', 'json', 'metadata (jsonb)'),
      lossy('born', 'time without time zone', 'created_at (timestamptz)'),
      '- "clinic"."kit", column "changed": has a value map, but kits.updated_at is not text',
      '- "clinic"."kit", column "id": has type numeric, for which a generator of kind "uuid" makes no ids',
      '- "clinic"."pk", column "id": has a nondeterministic collation; two texts of one id could differ',
      '- "clinic"."pk", column "practitioner_id": is a generated column, which cannot be written back',
      owner('pk', 'practitioner_id', 'integer', 'practitionerIdType'),
      '- "clinic"."pk", column "id": the mapping draws its ids from "clinic"."pk_ids", and there is no such sequence',
      '- "clinic"."users", column "uid": there is no such column (the mapping uses it as the id of a user)',
      owner('practitioners', 'user_id', 'text', 'userIdType'),
      '- "clinic"."practitioners", column "id": has no unique index, so a practitioner kit could have several users',
    ]);
  });

  it('is told of tables that are missing or are none, and still of the rest', async () => {
    const { kit, practitioner_kits } = mapping.sources;
    const found = await refusal({
      ...mapping,
      users: { schema: 'clinic', table: 'persons' },
      sources: {
        kit: { ...kit, table: 'kit_view' },
        practitioner_kits: { ...practitioner_kits, table: 'pkits' },
      },
    });
    expect(found.slice(1)).toEqual([
      '- "clinic"."kit_view": is not a table',
      '- "clinic"."pkits": there is no such table (the mapping uses it as source practitioner_kits)',
      '- "clinic"."persons": there is no such table (the mapping uses it as users)',
      expect.stringContaining('"clinic"."practitioners", column "user_id"'),
      expect.stringContaining('"clinic"."practitioners", column "id": has no unique index'),
    ]);
  });
});
