import type { SharedField } from '../mapping/schema.ts';

/** The life of a kit, in the words of `kits`; an organisation's own words are in the mapping's value maps. */
export const KIT_STATUSES = [
  'created',
  'registered',
  'collected',
  'received',
  'processing',
  'completed',
  'rejected',
  'cancelled',
] as const;
export type KitStatus = (typeof KIT_STATUSES)[number];

export const isKitStatus = (text: string | null): text is KitStatus =>
  KIT_STATUSES.some((status) => status === text);

/** What may follow a status, one step at a time. A sample is rejected by the laboratory that has it. */
const NEXT: Readonly<Record<KitStatus, readonly KitStatus[]>> = {
  created: ['registered', 'cancelled'],
  registered: ['collected', 'cancelled'],
  collected: ['received', 'cancelled'],
  received: ['processing', 'rejected'],
  processing: ['completed', 'rejected'],
  completed: [],
  rejected: [],
  cancelled: [],
};

/** Whether `to` is the next step after `from`. A status that is none of ours leads nowhere. */
export const mayFollow = (from: string | null, to: KitStatus): boolean =>
  isKitStatus(from) && NEXT[from].includes(to);

/** The statuses that can still come after one, however many steps away. */
const reachable = (from: KitStatus): ReadonlySet<KitStatus> => {
  const seen = new Set<KitStatus>();
  const queue: KitStatus[] = [...NEXT[from]];
  for (let next = queue.shift(); next !== undefined; next = queue.shift())
    if (!seen.has(next)) {
      seen.add(next);
      queue.push(...NEXT[next]);
    }
  return seen;
};
const REACHABLE = new Map(KIT_STATUSES.map((status) => [status, reachable(status)]));

/**
 * Whether `to` lies ahead of `from`. Jobs are delivered out of order, so one may arrive before those that
 * led up to it; it is applied when it leads forward, and what it overtook is then behind.
 */
export const liesAhead = (from: string | null, to: KitStatus): boolean =>
  isKitStatus(from) && REACHABLE.get(from)?.has(to) === true;

/** The time that a status sets, where the mapping has a column for it and no time stands there yet. */
export const TIME_OF_STATUS: Readonly<Partial<Record<KitStatus, SharedField>>> = {
  registered: 'registeredAt',
  collected: 'collectedAt',
  received: 'receivedAt',
  completed: 'resultedAt',
};
