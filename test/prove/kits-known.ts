import type { Database } from '@unified-kits/data';
import type { Source, Store } from '@unified-kits/domain';
import type pg from 'pg';
import { WAY } from '../../infra/local/jobs/plan.ts';
import { readStore, unifiedWord } from '../support/store-content.ts';
import type { EvidentKit } from './evidence.ts';

/** Where along the way a status is; -1 for one that no kit here has. */
export const placeOf = (source: Source, word: string | null): number =>
  WAY.findIndex((status) => status === unifiedWord(source, word ?? ''));

/** A kit as its clients know it. */
export interface KnownKit {
  readonly number: string;
  readonly source: Source;
  readonly id: string;
  kitsId: string | undefined;
}

const REST = [
  'userId',
  'practitionerId',
  'notes',
  'patientName',
  'patientEmail',
  'metadata',
  'createdAt',
];
const TIMES = ['registeredAt', 'collectedAt', 'receivedAt', 'resultedAt', 'updatedAt'];

/** A store's kits, by SQL alone. */
export const readKits = async (session: pg.ClientBase, store: Store): Promise<EvidentKit[]> =>
  [...(await readStore(session, store)).values()].map(({ source, id, content }) => ({
    number: content.kitNumber ?? '',
    source,
    id,
    orderId: content.orderId ?? null,
    kitType: content.kitType ?? null,
    place: placeOf(source, content.status ?? null),
    times: TIMES.map((name) => content[name] ?? '-').join(' '),
    rest: JSON.stringify(REST.map((name) => content[name] ?? null)),
  }));

/** Runs work on a session that sees the tables by their plain names, in one snapshot. */
export const inSnapshot = <Result>(
  admin: Database,
  work: (session: pg.ClientBase) => Promise<Result>,
): Promise<Result> =>
  admin.transaction({ asApplication: true, isolation: 'repeatable read', readOnly: true }, work);

/** The owner's path under the legacy contract. */
export const legacyPath = (source: Source, practitionerId: string | undefined): string =>
  source === 'kit' ? '/kits' : `/practitioners/${practitionerId}/kits`;
