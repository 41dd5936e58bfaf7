import { type Kit, referenceMapping, SOURCES, type Source, type Store } from '@unified-kits/domain';
import type pg from 'pg';

/**
 * A kit in the words of its legacy table, under the names of the legacy contract: all that the reference
 * schema has of it, as text; times in UTC with microseconds.
 */
export type Content = Readonly<Record<string, string | null>>;

export interface StoredKit {
  readonly source: Source;
  readonly id: string;
  readonly content: Content;
}

/** By source and legacy id. */
export const kitKey = (source: Source, id: string): string => `${source} ${id}`;

/** Legacy status words by those of `kits`. */
const LEGACY_STATUS: Readonly<Record<Source, ReadonlyMap<string, string>>> = {
  kit: new Map(),
  practitioner_kits: new Map(
    Object.entries(referenceMapping.sources.practitioner_kits.columns.status.values ?? {}).map(
      ([word, meaning]) => [meaning, word],
    ),
  ),
};
export const legacyWord = (source: Source, status: string): string =>
  LEGACY_STATUS[source].get(status) ?? status;
export const unifiedWord = (source: Source, word: string): string =>
  [...LEGACY_STATUS[source]].find(([, legacy]) => legacy === word)?.[0] ?? word;

const time = (column: string) =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const SHARED = `status, kit_type as "kitType", order_id as "orderId", metadata::text as metadata,
  ${time('registered_at')} as "registeredAt", ${time('collected_at')} as "collectedAt", ${time('received_at')} as "receivedAt",
  ${time('resulted_at')} as "resultedAt", ${time('created_at')} as "createdAt", ${time('updated_at')} as "updatedAt"`;

/** Written by hand and not from the mapping: what it says is checked against what the service says. */
const SELECT: Readonly<Record<Store, Readonly<Record<Source, string>>>> = {
  legacy: {
    kit: `select id::text, kit_number as "kitNumber", user_id::text as "userId", notes, ${SHARED} from kit`,
    practitioner_kits: `select id::text, kit_number as "kitNumber", practitioner_id::text as "practitionerId", patient_name as "patientName", patient_email as "patientEmail", ${SHARED} from practitioner_kits`,
  },
  kits: {
    kit: `select legacy_id as id, kit_number as "kitNumber", user_id::text as "userId", legacy_attributes ->> 'notes' as notes, ${SHARED} from kits where source = 'kit'`,
    practitioner_kits: `select legacy_id as id, kit_number as "kitNumber", practitioner_id::text as "practitionerId", legacy_attributes ->> 'patient_name' as "patientName", legacy_attributes ->> 'patient_email' as "patientEmail", ${SHARED} from kits where source = 'practitioner_kits'`,
  },
};

const jsonText = (value: unknown): string | null => (value == null ? null : JSON.stringify(value));

/** All kits that a store holds, or one of them, by SQL alone. */
export const readStore = async (
  session: pg.ClientBase,
  store: Store,
  only?: { readonly source: Source; readonly id: string },
): Promise<ReadonlyMap<string, StoredKit>> => {
  const found = new Map<string, StoredKit>();
  for (const source of only === undefined ? SOURCES : [only.source]) {
    const { rows } = await session.query(
      `select * from (${SELECT[store][source]}) kits where $1::text is null or id = $1`,
      [only?.id ?? null],
    );
    for (const { id, ...row } of rows) {
      const content: Content = {
        ...row,
        metadata: row.metadata === null ? null : jsonText(JSON.parse(row.metadata)),
        status: store === 'kits' ? legacyWord(source, row.status) : row.status,
      };
      found.set(kitKey(source, id), { source, id, content });
    }
  }
  return found;
};

const pick = (body: Readonly<Record<string, unknown>>, names: readonly string[]): Content =>
  Object.fromEntries(names.map((name) => [name, (body[name] ?? null) as string | null]));

const TEXTS = ['status', 'kitType', 'orderId'] as const;
const TIMES = [
  'registeredAt',
  'collectedAt',
  'receivedAt',
  'resultedAt',
  'createdAt',
  'updatedAt',
] as const;
const OWNED: Readonly<
  Record<Source, { readonly owner: string; readonly kept: readonly string[] }>
> = {
  kit: { owner: 'userId', kept: ['notes'] },
  practitioner_kits: { owner: 'practitionerId', kept: ['patientName', 'patientEmail'] },
};
/** What a client may write besides the order and the type, by source. */
export const keptFields = (source: Source): readonly string[] => OWNED[source].kept;

/** A kit as a response of either contract shows it. */
export const shownKit = (
  contract: 'legacy' | 'v2',
  body: Readonly<Record<string, unknown>>,
): StoredKit & Pick<Kit, 'kitsId'> => {
  const source = body.ownerType === 'client' ? 'kit' : 'practitioner_kits';
  const { owner, kept } = OWNED[source];
  const v2 = contract === 'v2';
  const attributes = (v2 ? body.attributes : body) as Readonly<Record<string, unknown>>;
  const content: Content = {
    ...pick(body, ['kitNumber', owner, ...TEXTS, ...TIMES]),
    ...pick(attributes, kept),
    metadata: jsonText(body.metadata),
    status: v2 ? legacyWord(source, String(body.status)) : String(body.status),
  };
  return {
    source,
    id: String(v2 ? body.legacyId : body.id),
    kitsId: String(body.kitsId),
    content,
  };
};
