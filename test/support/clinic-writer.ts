import { setTimeout as sleep } from 'node:timers/promises';
import { FENCE_SQLSTATE, type Store } from '@unified-kits/domain';
import pg from 'pg';
import type { ClinicDatabase } from './clinic.ts';

/**
 * What the clinic's legacy tables must hold in the end: a second database, without the migration,
 * the clinic's triggers and its references, in which every acknowledged write is repeated as plain SQL on the
 * legacy tables. A write to a legacy table is repeated by its returned row, a write to `kits` by hand.
 */
export interface Model {
  readonly database: ClinicDatabase;
  query(sql: string, values: readonly unknown[]): Promise<void>;
}

export const modelOf = async (database: ClinicDatabase): Promise<Model> => {
  await database.pool.query(
    `drop trigger kit_touch on app.kit; drop trigger practitioner_kits_touch on app.practitioner_kits;
     alter table app.kit_result drop constraint "kit_result_kitId_fkey", drop constraint "kit_result_practitionerKitId_fkey"`,
  );
  return {
    database,
    async query(sql, values) {
      const { rowCount } = await database.pool.query(sql, [...values]);
      if (rowCount !== 1) throw new Error(`the model changed ${rowCount} rows: ${sql}`);
    },
  };
};

/** One write, told for each store, and how the model follows. */
interface Write {
  readonly legacy: { readonly sql: string; readonly values: readonly unknown[] };
  readonly kits: { readonly sql: string; readonly values: readonly unknown[] };
  followLegacy(row: Record<string, string>): Promise<void>;
  followKits(row: Record<string, string>): Promise<void>;
}

const KIT_STATUS = [
  ['REGISTERED', 'registered'],
  ['IN_PROCESS', 'processing'],
  ['RESULTS_READY', 'completed'],
] as const;
const PRACTITIONER_STATUS = [
  ['registered', 'registered'],
  ['processing', 'processing'],
  ['complete', 'completed'],
] as const;
const NOTES = [null, '', 'He said "no"; \\ and $1', 'zwei\nZeilen\tStraße 👩‍⚕️', "it's {a}"];
const ANSWERS = [null, 'null', '{"q": 3.10, "n": null, "t": "\\u00fc \\" \\\\"}'];
const DISCOUNTS = [null, '0', '12.50', '12.500', '0.333333333333333333333'];

const asTheModel = (table: string, row: string) => ({
  sql: `insert into app.${table} select (cast($1 as app.${table})).*`,
  values: [row],
});

/** A session of the clinic's application: it follows the fence, and the model follows its acknowledged writes. */
export class ClinicWriter {
  readonly #client: pg.Client;
  readonly #model: Model;
  readonly #name: string;
  readonly #owns: { kit: string[]; practitioner_kits: string[] };
  readonly #born: { kit: string[]; practitioner_kits: string[] } = {
    kit: [],
    practitioner_kits: [],
  };
  #store: Store = 'legacy';
  #random: number;
  #running: Promise<void> | undefined;
  #stop = false;
  #serial = 0;
  acknowledged = 0;
  refused = 0;
  readonly acknowledgedOn: Record<Store, number> = { legacy: 0, kits: 0 };

  private constructor(
    client: pg.Client,
    model: Model,
    name: string,
    owns: { kit: string[]; practitioner_kits: string[] },
    seed: number,
  ) {
    this.#client = client;
    this.#model = model;
    this.#name = name;
    this.#owns = owns;
    this.#random = seed;
  }

  static async open(database: ClinicDatabase, model: Model, index: number, of: number) {
    const client = await database.client();
    const ids = async (table: string) =>
      (
        await client.query(
          `select id::text from app.${table} where abs(hashtext(id::text)) % $1 = $2 order by app.${table}.id limit 150`,
          [of, index],
        )
      ).rows.map(({ id }) => id as string);
    const owns = { kit: await ids('kit'), practitioner_kits: await ids('practitioner_kits') };
    await client.query(`set timezone = 'UTC'; set role kits_app`);
    return new ClinicWriter(client, model, `W${index}`, owns, index + 1);
  }

  start(): void {
    this.#stop = false;
    this.#running = (async () => {
      while (!this.#stop) {
        await this.#one();
        await sleep(2);
      }
    })();
    // Looked at by `stop`; without this an early failure would end the process.
    this.#running.catch(() => {});
  }

  /** Waits until so many more writes are acknowledged, or one has failed. */
  async writes(more: number): Promise<void> {
    const wanted = this.acknowledged + more;
    let ended = false;
    const end = () => {
      ended = true;
    };
    this.#running?.then(end, end);
    while (this.acknowledged < wanted && !ended) await sleep(5);
  }

  /** Waits for the write under way, and tells what went wrong if anything did. */
  async stop(): Promise<void> {
    this.#stop = true;
    await this.#running;
  }

  #draw(below: number): number {
    this.#random = (this.#random * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((this.#random / 2_147_483_648) * below);
  }

  #pick<T>(list: readonly T[]): T {
    const found = list[this.#draw(list.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  }

  async #one(): Promise<void> {
    const kind = this.#draw(10);
    const table = this.#draw(2) === 0 ? 'kit' : 'practitioner_kits';
    if (kind < 7)
      return this.#send(table === 'kit' ? this.#updateKit() : this.#updatePractitioner());
    if (kind < 9 || this.#born[table].length === 0)
      return this.#send(table === 'kit' ? this.#insertKit() : this.#insertPractitioner());
    return this.#send(this.#deleteBorn(table));
  }

  async #send(write: Write): Promise<void> {
    for (let tries = 0; tries < 4; tries += 1) {
      const { sql, values } = write[this.#store];
      try {
        const { rows, rowCount } = await this.#client.query(sql, [...values]);
        if (rowCount !== 1)
          throw new Error(`${this.#name} wrote ${rowCount} rows in ${this.#store}`);
        this.acknowledged += 1;
        this.acknowledgedOn[this.#store] += 1;
        await (this.#store === 'legacy' ? write.followLegacy(rows[0]) : write.followKits(rows[0]));
        return;
      } catch (error) {
        if (!(error instanceof pg.DatabaseError && error.code === FENCE_SQLSTATE)) throw error;
        this.refused += 1;
        this.#store = this.#store === 'legacy' ? 'kits' : 'legacy';
      }
    }
    throw new Error(`${this.#name} was refused by both stores`);
  }

  async #replace(table: 'kit' | 'practitioner_kits', id: string, row: string): Promise<void> {
    await this.#model.query(`delete from app.${table} where id::text = $1`, [id]);
    const insert = asTheModel(table, row);
    await this.#model.query(insert.sql, insert.values);
  }

  #updateKit(): Write {
    const id = this.#pick([...this.#owns.kit, ...this.#born.kit]);
    const [legacy, unified] = this.#pick(KIT_STATUS);
    const rest = [this.#pick(NOTES), '{a,"b c",NULL,"NULL"}', this.#pick(ANSWERS)];
    return {
      legacy: {
        sql: `update app.kit t set status = cast($2 as app.kit_status), notes = $3, tags = cast($4 as text[]), answers = cast($5 as jsonb) where id::text = $1 returning t::text as row`,
        values: [id, legacy, ...rest],
      },
      kits: {
        sql: `update app.kits set status = $2, metadata = cast($5 as jsonb), updated_at = clock_timestamp(),
                legacy_attributes = legacy_attributes || jsonb_build_object('notes', $3::text, 'tags', cast($4 as text[])::text)
               where source = 'kit' and legacy_id = $1 returning updated_at::text as at`,
        values: [id, unified, ...rest],
      },
      followLegacy: ({ row = '' }) => this.#replace('kit', id, row),
      followKits: ({ at }) =>
        this.#model.query(
          `update app.kit set status = cast($2 as app.kit_status), notes = $3, tags = cast($4 as text[]), answers = cast($5 as jsonb), "updatedAt" = cast($6 as timestamptz) where id::text = $1`,
          [id, legacy, ...rest, at],
        ),
    };
  }

  #updatePractitioner(): Write {
    const id = this.#pick([...this.#owns.practitioner_kits, ...this.#born.practitioner_kits]);
    const [legacy, unified] = this.#pick(PRACTITIONER_STATUS);
    const rest = [this.#pick(DISCOUNTS), '1 mon 2 days 03:04:05.000006', '\\x00ff'];
    return {
      legacy: {
        sql: `update app.practitioner_kits t set status = cast($2 as app.practitioner_kit_status), "discountPercent" = cast($3 as numeric), turnaround = cast($4 as interval), "consentSignature" = cast($5::text as bytea) where id::text = $1 returning t::text as row`,
        values: [id, legacy, ...rest],
      },
      kits: {
        sql: `update app.kits set status = $2, updated_at = clock_timestamp(),
                legacy_attributes = legacy_attributes || jsonb_build_object('discountPercent', cast($3 as numeric), 'turnaround', $4::text, 'consentSignature', $5::text)
               where source = 'practitioner_kits' and legacy_id = $1 returning updated_at::text as at`,
        values: [id, unified, ...rest],
      },
      followLegacy: ({ row = '' }) => this.#replace('practitioner_kits', id, row),
      followKits: ({ at }) =>
        this.#model.query(
          `update app.practitioner_kits set status = cast($2 as app.practitioner_kit_status), "discountPercent" = cast($3 as numeric), turnaround = cast($4 as interval), "consentSignature" = cast($5::text as bytea), "updatedAt" = cast($6 as timestamptz) where id::text = $1`,
          [id, legacy, ...rest, at],
        ),
    };
  }

  #insertKit(): Write {
    this.#serial += 1;
    const number = `${this.#name}K${this.#serial}`;
    const owner = `(select id from app."user" order by id offset ${this.#draw(500)} limit 1)`;
    return {
      legacy: {
        sql: `insert into app.kit as t ("kitNumber", "userId", "productCode") select $1, ${owner}, 'NEW' returning t.id::text, t::text as row`,
        values: [number],
      },
      kits: {
        sql: `insert into app.kits (kit_number, owner_type, user_id, status, kit_type) select $1, 'client', ${owner}, 'created', 'NEW' returning legacy_id as id, user_id::text as owner, created_at::text as born, updated_at::text as at`,
        values: [number],
      },
      followLegacy: async ({ id = '', row = '' }) => {
        const insert = asTheModel('kit', row);
        await this.#model.query(insert.sql, insert.values);
        this.#born.kit.push(id);
      },
      followKits: async ({ id = '', owner: userId, born, at }) => {
        await this.#model.query(
          `insert into app.kit (id, "kitNumber", "userId", "productCode", "createdAt", "updatedAt") values ($1, $2, $3, 'NEW', $4, $5)`,
          [id, number, userId, born, at],
        );
        this.#born.kit.push(id);
      },
    };
  }

  #insertPractitioner(): Write {
    this.#serial += 1;
    const number = `${this.#name}P${this.#serial}`;
    const practitioner = 1 + this.#draw(150);
    return {
      legacy: {
        sql: `insert into app.practitioner_kits as t ("kitNumber", "practitionerId", "productCode") values ($1, $2, 'NEW') returning t.id::text, t::text as row`,
        values: [number, practitioner],
      },
      kits: {
        sql: `insert into app.kits (kit_number, owner_type, practitioner_id, status, kit_type) values ($1, 'practitioner', $2, 'created', 'NEW') returning legacy_id as id, created_at::text as born, updated_at::text as at`,
        values: [number, practitioner],
      },
      followLegacy: async ({ id = '', row = '' }) => {
        const insert = asTheModel('practitioner_kits', row);
        await this.#model.query(insert.sql, insert.values);
        this.#born.practitioner_kits.push(id);
      },
      followKits: async ({ id = '', born, at }) => {
        await this.#model.query(
          `insert into app.practitioner_kits (id, "kitNumber", "practitionerId", "productCode", "createdAt", "updatedAt") values ($1, $2, $3, 'NEW', $4, $5)`,
          [id, number, practitioner, born, at],
        );
        this.#born.practitioner_kits.push(id);
      },
    };
  }

  #deleteBorn(table: 'kit' | 'practitioner_kits'): Write {
    const id = this.#pick(this.#born[table]);
    const forget = async () => {
      await this.#model.query(`delete from app.${table} where id::text = $1`, [id]);
      this.#born[table].splice(this.#born[table].indexOf(id), 1);
    };
    return {
      legacy: { sql: `delete from app.${table} where id::text = $1`, values: [id] },
      kits: {
        sql: `delete from app.kits where source = '${table}' and legacy_id = $1`,
        values: [id],
      },
      followLegacy: forget,
      followKits: forget,
    };
  }
}
