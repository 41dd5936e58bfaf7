import { SOURCES, type Source, type Store } from '@unified-kits/domain';
import fc from 'fast-check';
import pg from 'pg';
import { freshNumber, type Model, type ModelKit } from './api-model.ts';
import { legacyWord, readStore, type StoredKit } from './store-content.ts';

export type SqlCommand =
  | {
      readonly do: 'update' | 'status' | 'delete';
      readonly at: number;
      readonly value: string;
      readonly isolation: Isolation;
    }
  | {
      readonly do: 'insert';
      readonly source: Source;
      readonly at: number;
      readonly isolation: Isolation;
    }
  | { readonly do: 'owner'; readonly practitioner: number; readonly user: number };
type Isolation = 'read committed' | 'repeatable read' | 'serializable';

const at = fc.nat({ max: 30 });
const isolation = fc.constantFrom<Isolation>(
  'read committed',
  'read committed',
  'repeatable read',
  'serializable',
);
export const sqlCommand: fc.Arbitrary<SqlCommand> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('update' as const),
      at,
      value: fc.constantFrom('by sql', 'ü', ''),
      isolation,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('status' as const),
      at,
      value: fc.constantFrom('created', 'registered', 'processing', 'completed', 'rejected'),
      isolation,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('insert' as const),
      source: fc.constantFrom(...SOURCES),
      at,
      isolation,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('delete' as const),
      at,
      value: fc.constant(''),
      isolation,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('owner' as const),
      practitioner: fc.nat({ max: 9 }),
      user: fc.nat({ max: 3 }),
    }),
  },
);

/** Where a store is not authoritative, not there yet, or has been changed since a transaction's snapshot. */
const ELSEWHERE = ['KF001', '42P01'];
const AGAIN = ['40001', '40P01'];

/**
 * A service of the organisation that knows nothing of ours but what README says: a write that is refused with
 * KF001 belongs into the other store.
 */
export class SqlWriter {
  readonly #session: pg.Client;
  readonly #model: Model;
  #store: Store = 'legacy';

  /** @param session of a login that is a member of `kits_app` */
  constructor(session: pg.Client, model: Model) {
    this.#session = session;
    this.#model = model;
  }

  /** Runs one transaction on the store that will have it. */
  async #write<Result>(
    isolation: Isolation,
    work: (store: Store) => Promise<Result>,
  ): Promise<Result> {
    for (let tries = 1; ; tries += 1)
      try {
        await this.#session.query(`begin isolation level ${isolation}`);
        // Where a snapshot holds for the whole transaction it is taken here, and may soon be an old one.
        await this.#session.query('select count(*) from users');
        const result = await work(this.#store);
        await this.#session.query('commit');
        return result;
      } catch (error) {
        await this.#session.query('rollback');
        const code = error instanceof pg.DatabaseError ? (error.code ?? '') : '';
        if (tries > 20 || ![...ELSEWHERE, ...AGAIN].includes(code)) throw error;
        if (ELSEWHERE.includes(code)) this.#store = this.#store === 'legacy' ? 'kits' : 'legacy';
      }
  }

  async #stored(store: Store, source: Source, id: string): Promise<StoredKit | undefined> {
    return [...(await readStore(this.#session, store, { source, id })).values()][0];
  }

  #set(store: Store, { source, id }: ModelKit, assignment: string, value: string) {
    return store === 'legacy'
      ? this.#session.query(`update ${source} set ${assignment} where id::text = $1`, [id, value])
      : this.#session.query(
          `update kits set ${assignment} where source = '${source}' and legacy_id = $1`,
          [id, value],
        );
  }

  async #change(
    kit: ModelKit,
    command: Exclude<SqlCommand, { readonly do: 'insert' | 'owner' }>,
  ): Promise<void> {
    const { content: before } = kit;
    if (before === undefined) return;
    const { value } = command;
    const deletes = command.do === 'delete';
    const after = await this.#write(command.isolation, async (store) => {
      const { rowCount } = deletes
        ? await this.#session.query(
            store === 'legacy'
              ? `delete from ${kit.source} where id::text = $1`
              : `delete from kits where source = '${kit.source}' and legacy_id = $1`,
            [kit.id],
          )
        : command.do === 'status'
          ? await this.#set(
              store,
              kit,
              'status = $2',
              store === 'legacy' ? legacyWord(kit.source, value) : value,
            )
          : await this.#set(store, kit, 'order_id = $2', value);
      if (rowCount !== 1)
        this.#model.fail(`${store} has no ${kit.source} ${kit.id} to ${command.do}`);
      return (await this.#stored(store, kit.source, kit.id))?.content;
    });
    kit.content = deletes
      ? undefined
      : {
          ...before,
          ...(command.do === 'status'
            ? { status: legacyWord(kit.source, value) }
            : { orderId: value }),
        };
    this.#model.assertSeen(kit, after, `${command.do} by SQL`);
  }

  async #insert({
    source,
    at: n,
    isolation,
  }: Extract<SqlCommand, { readonly do: 'insert' }>): Promise<void> {
    const number = freshNumber();
    const insert = async (store: Store) => {
      const owner = source === 'kit' ? 'user' : 'practitioner';
      const [column, name] =
        source === 'kit' ? ['user_id', 'notes'] : ['practitioner_id', 'patient_name'];
      const { rows } =
        store === 'legacy'
          ? await this.#session.query(
              `insert into ${source} (kit_number, ${column}, ${name}) values ($1, md5('${owner}' || $2)::uuid, $1) returning id::text`,
              [number, n % 5],
            )
          : await this.#session.query(
              `insert into kits (kit_number, owner_type, ${column}, status, legacy_attributes)
               values ($1, '${source === 'kit' ? 'client' : 'practitioner'}', md5('${owner}' || $2)::uuid, 'created', jsonb_build_object('${name}', $1::text)) returning legacy_id as id`,
              [number, n % 5],
            );
      return this.#stored(store, source, rows[0].id);
    };
    await this.#model.birth(async () => {
      const stored = await this.#write(isolation, insert);
      return {
        stored: stored ?? this.#model.fail(`what was inserted as ${number} is not there`),
      };
    });
  }

  async take(command: SqlCommand): Promise<void> {
    this.#model.note(`sql: ${JSON.stringify(command)}`);
    if (command.do === 'insert') return this.#insert(command);
    if (command.do === 'owner') {
      // To a user of no other practitioner: two of one user are a blocker of the analysis.
      await this.#session.query(
        `update practitioners set user_id = md5('user' || $2)::uuid where id = md5('practitioner' || $1)::uuid`,
        [command.practitioner, 10 + 4 * command.practitioner + command.user],
      );
      return;
    }
    const all = [...this.#model.kits.values()];
    const kit = all[command.at % all.length];
    await kit?.alone(() => this.#change(kit, command));
  }
}
