import { isNeighbour, type Stage } from '@unified-kits/domain';
import type { Compared, Evidence, EvidentKit } from './evidence.ts';
import type { Entry } from './history.ts';
import type { Violation } from './violation.ts';

const illegalFlips = (flips: Evidence['flips']): readonly Violation[] => {
  let stage: Stage = 'legacy';
  let last = 0;
  const violations: Violation[] = [];
  for (const { from, to, epoch } of flips) {
    if (from !== stage || !isNeighbour(from, to) || epoch !== last + 1)
      violations.push({
        rule: 'illegal flip',
        detail: `from "${from}" to "${to}" (${epoch}), in stage "${stage}" (${last})`,
      });
    stage = to;
    last = epoch;
  }
  return violations;
};

const keyOf = ({ source, id }: EvidentKit): string => `${source} ${id}`;

/** What of a kit is another in the other store, by name. */
const namesOf = (one: EvidentKit, other: EvidentKit): readonly (keyof EvidentKit)[] =>
  (Object.keys(one) as (keyof EvidentKit)[]).filter((name) => one[name] !== other[name]);

/** Whatever is not in step is noted; and once all is settled, nothing is. */
export const differences = (compared: Compared): readonly Violation[] => {
  const { stage, settled, noted, legacy, kits, mismatched, strayOwners } = compared;
  const found: Violation[] = [];
  const differ = (detail: string) => {
    found.push({ rule: 'stores differ', detail: `${detail} (stage "${stage}")` });
  };
  const known = new Set(noted);
  const twins = new Map(kits.map((kit) => [keyOf(kit), kit]));
  for (const kit of legacy) {
    const key = keyOf(kit);
    const twin = twins.get(key);
    twins.delete(key);
    if (known.has(key)) continue;
    if (twin === undefined) differ(`${key} (${kit.number}) is in the legacy table alone`);
    else
      for (const name of namesOf(kit, twin))
        differ(`${name} of ${key} (${kit.number}) is ${kit[name]}, and ${twin[name]} in kits`);
  }
  for (const [key, { number }] of twins)
    if (!known.has(key)) differ(`${key} (${number}) is in kits alone`);
  if (!settled) return found;
  if (mismatched !== undefined && mismatched > 0) differ(`the comparison found ${mismatched}`);
  if (strayOwners > 0) differ(`${strayOwners} kits have another user than their practitioner`);
  if (noted.length > 0) differ(`${noted.length} keys are noted still`);
  return found;
};

/** Ids that were ever seen of a kit in `kits`. */
const idsSeen = (entries: readonly Entry[], evidence: Evidence) => {
  const ids = new Map<string, Set<string>>();
  const add = (number: string, id: string) =>
    ids.set(number, (ids.get(number) ?? new Set()).add(id));
  for (const entry of entries)
    if (entry.kind === 'return')
      for (const [number, seen] of Object.entries(entry.seen ?? {}))
        if (seen?.kitsId != null) add(number, seen.kitsId);
  for (const { kitsIds } of evidence.compared)
    for (const [number, id] of Object.entries(kitsIds)) add(number, id);
  const numbers = new Map(evidence.stored.map((kit) => [`${kit.source} ${kit.id}`, kit.number]));
  for (const { source, legacyId, kitsId } of evidence.events) {
    const number = numbers.get(`${source} ${legacyId}`);
    if (number !== undefined) add(number, kitsId);
  }
  return ids;
};

/** Stages followed one another as they may, the stores were in step, and the way back has left nothing. */
export const checkMigration = (
  entries: readonly Entry[],
  evidence: Evidence,
): readonly Violation[] => {
  const { original, stored, stage, leftovers } = evidence;
  const violations: Violation[] = [...illegalFlips(evidence.flips)];
  for (const entry of entries)
    if (entry.kind === 'note' && entry.unforeseen === true)
      violations.push({
        rule: 'unforeseen error',
        detail: `${entry.what}: ${JSON.stringify(entry.detail)}`,
      });
  for (const compared of evidence.compared) violations.push(...differences(compared));
  for (const [number, ids] of idsSeen(entries, evidence))
    if (ids.size > 1)
      violations.push({ rule: 'another id', detail: `${number} was ${[...ids].join(' and ')}` });
  if (stage === 'legacy')
    for (const [what, count] of Object.entries(leftovers))
      if (count > 0) violations.push({ rule: 'left behind', detail: `${count} ${what}` });
  const now = new Map(stored.map((kit) => [kit.number, kit]));
  for (const { number, rest, id } of original) {
    const kit = now.get(number);
    if (kit !== undefined && (kit.rest !== rest || kit.id !== id))
      violations.push({ rule: 'not restored', detail: `${number}: ${rest} is ${kit.rest}` });
  }
  return violations;
};
