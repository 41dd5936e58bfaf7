import type { Kit } from './kit.ts';

/** What the outbox tells; each applied change is told once, by the first of these that fits. */
export const KIT_EVENT_TYPES = [
  'kit.created',
  'kit.registered',
  'kit.status-changed',
  'kit.updated',
] as const;
export type KitEventType = (typeof KIT_EVENT_TYPES)[number];

/** A change of one kit, with ids and statuses and nothing else: whoever may know more can look it up. */
export interface KitEvent {
  readonly type: KitEventType;
  readonly version: 1;
  readonly kitsId: string;
  readonly source: Kit['source'];
  readonly legacyId: string;
  readonly ownerType: Kit['ownerType'];
  readonly status: string | null;
  readonly previousStatus: string | null;
  /** Names of what changed, sorted. */
  readonly changed: readonly string[];
}

const changedNames = (before: Kit, after: Kit): string[] => {
  const changed = (one: object, other: object) => {
    const [a, b] = [Object.entries(one), new Map<string, unknown>(Object.entries(other))];
    const gone = [...b.keys()].filter((name) => !Object.hasOwn(one, name));
    return [...a.filter(([name, value]) => value !== b.get(name)).map(([name]) => name), ...gone];
  };
  return [
    ...new Set([
      ...changed(before.fields, after.fields),
      ...changed(before.attributes, after.attributes),
    ]),
  ].sort();
};

const typeOf = (before: Kit | undefined, after: Kit): KitEventType => {
  if (before === undefined) return 'kit.created';
  if (before.fields.status === after.fields.status) return 'kit.updated';
  return after.fields.status === 'registered' ? 'kit.registered' : 'kit.status-changed';
};

/** The event of a change; the same whichever store was authoritative. */
export const kitEvent = (before: Kit | undefined, after: Kit): KitEvent => ({
  type: typeOf(before, after),
  version: 1,
  kitsId: after.kitsId,
  source: after.source,
  legacyId: after.legacyId,
  ownerType: after.ownerType,
  status: after.fields.status,
  previousStatus: before?.fields.status ?? null,
  changed: before === undefined ? [] : changedNames(before, after),
});
