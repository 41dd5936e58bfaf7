import { isNeighbour, type Stage } from '@unified-kits/domain';
import type { Violation } from './check.ts';
import type { Compared, Evidence, EvidentKit } from './evidence.ts';
import type { Entry } from './history.ts';

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

const contentOf = ({ number: _number, ...content }: EvidentKit): string => JSON.stringify(content);

const difference = ({ stage, backlog, legacy, kits, mismatched, strayOwners }: Compared) => {
  const found: Violation[] = [];
  const differ = (detail: string) => {
    found.push({ rule: 'stores differ', detail: `${detail} (stage "${stage}")` });
  };
  if (mismatched !== undefined && mismatched > 0) differ(`the comparison found ${mismatched}`);
  if (strayOwners > 0) differ(`${strayOwners} kits have another user than their practitioner`);
  if (backlog > 0) differ(`${backlog} keys are noted still`);
  const other = new Map(kits.map((kit) => [kit.number, contentOf(kit)]));
  for (const kit of legacy) {
    const twin = other.get(kit.number);
    other.delete(kit.number);
    if (twin !== contentOf(kit)) differ(`${kit.number}: ${contentOf(kit)} is ${twin} in kits`);
  }
  for (const number of other.keys()) differ(`${number} is in kits alone`);
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
  for (const compared of evidence.compared) violations.push(...difference(compared));
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
