import type { Source, Store } from '@unified-kits/domain';
import type pg from 'pg';
import type { Assignment } from './history.ts';
import type { KnownKit } from './kits-known.ts';

/** What plain SQL does to one kit, in either store. */
export type SqlChange =
  | {
      readonly do: 'insert';
      readonly number: string;
      readonly source: Source;
      /** As the seed names them: a user, or a practitioner. */
      readonly owner: string;
      readonly kitType: string;
    }
  | { readonly do: 'set'; readonly kit: KnownKit; readonly kitType: string }
  | { readonly do: 'delete'; readonly kit: KnownKit };

/** Nothing is there to write: an old snapshot may not show a row that was mirrored since. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/** The registers that a change writes. */
export const assignmentsOf = (change: SqlChange): readonly Assignment[] => {
  switch (change.do) {
    case 'insert':
      return [
        { kit: change.number, field: 'exists', value: 'yes' },
        { kit: change.number, field: 'kitType', value: change.kitType },
      ];
    case 'set':
      return [{ kit: change.kit.number, field: 'kitType', value: change.kitType }];
    case 'delete':
      return [{ kit: change.kit.number, field: 'exists', value: 'no' }];
  }
};

const statementOf = (
  change: SqlChange,
  store: Store,
): { readonly text: string; readonly values: readonly string[] } => {
  if (change.do === 'insert') {
    const { number, source, owner, kitType } = change;
    const [column, ownerType] =
      source === 'kit' ? ['user_id', 'client'] : ['practitioner_id', 'practitioner'];
    return {
      text:
        store === 'legacy'
          ? `insert into ${source} (kit_number, ${column}, kit_type) values ($1, md5($2)::uuid, $3) returning id::text`
          : `insert into kits (kit_number, owner_type, ${column}, kit_type, status) values ($1, '${ownerType}', md5($2)::uuid, $3, 'created') returning legacy_id as id`,
      values: [number, owner, kitType],
    };
  }
  const { source, id } = change.kit;
  const [table, where] =
    store === 'legacy'
      ? [source, 'id::text = $1']
      : ['kits', `source = '${source}' and legacy_id = $1`];
  return change.do === 'set'
    ? {
        text: `update ${table} set kit_type = $2 where ${where} returning $1 as id`,
        values: [id, change.kitType],
      }
    : { text: `delete from ${table} where ${where} returning $1 as id`, values: [id] };
};

/**
 * @returns the kit's legacy id.
 * @throws {NotThere} when the store shows no such kit.
 */
export const makeChange = async (
  session: pg.Client,
  store: Store,
  change: SqlChange,
): Promise<string> => {
  const { text, values } = statementOf(change, store);
  const { rows } = await session.query<{ id: string }>(text, [...values]);
  const [row] = rows;
  if (row === undefined || rows.length > 1) throw new NotThere(`${rows.length} rows`);
  return row.id;
};
