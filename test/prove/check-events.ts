import type { Evidence, EvidentEvent } from './evidence.ts';
import { type Done, type Entry, operations } from './history.ts';
import type { Violation } from './violation.ts';

type Job = Done<Extract<Done['what'], { readonly do: 'job' }>>;
const isJob = (done: Done): done is Job => done.what.do === 'job';

const differs = (detail: string): Violation => ({ rule: 'events differ', detail });

/** Statuses lead from one event to the next, as the kit's own did. */
const brokenChain = (
  number: string,
  first: number | null,
  events: readonly EvidentEvent[],
): readonly Violation[] => {
  let place = first;
  for (const event of events) {
    if (event.previousPlace !== place)
      return [
        differs(
          `an event of ${number} tells of a change from place ${event.previousPlace}, where it was at ${place}`,
        ),
      ];
    place = event.place;
  }
  return [];
};

/** How often a kit's owner has changed it through the API: surely, and at most. */
const changesOf = (done: readonly Done[], number: string) => {
  let [least, most, born] = [0, 0, false];
  for (const { what, outcome } of done) {
    if (what.do !== 'write' || what.by !== 'api' || outcome === 'failed') continue;
    const own = what.writes.filter(({ kit }) => kit === number);
    if (own.some(({ field }) => field === 'exists')) born = true;
    else if (own.length > 0) {
      most += 1;
      if (outcome === 'ok') least += 1;
    }
  }
  return { least, most, born };
};

const sorted = (places: readonly number[]) => places.toSorted((a, b) => a - b).join(' ');

/**
 * Jobs have had their effect once or wait for it; the outbox tells every change that the API and jobs have
 * made, once and in order; and all of it has arrived in the queue.
 */
export const checkEvents = (
  entries: readonly Entry[],
  evidence: Pick<
    Evidence,
    'original' | 'stored' | 'events' | 'emitted' | 'handled' | 'waiting' | 'dead'
  >,
): readonly Violation[] => {
  const { original, stored, events, emitted, handled } = evidence;
  const violations: Violation[] = [];
  const done = operations(entries);
  const jobs = done.filter(isJob);
  const somewhere = new Set([...Object.keys(handled), ...evidence.waiting, ...evidence.dead]);
  for (const { what, outcome } of jobs)
    if (outcome === 'ok' && !somewhere.has(what.jobId))
      violations.push({ rule: 'lost job', detail: `${what.jobId} of ${what.kit}` });

  const first = new Map(original.map((kit) => [kit.number, kit.place]));
  const byKit = Map.groupBy(events, ({ source, legacyId }) => `${source} ${legacyId}`);
  for (const { number, source, id, place } of stored) {
    const own = byKit.get(`${source} ${id}`) ?? [];
    const { least, most, born } = changesOf(done, number);
    const made = own.filter(({ type }) => type === 'kit.created').length;
    if (made !== (born ? 1 : 0))
      violations.push(differs(`${made} events tell that ${number} was made`));
    violations.push(...brokenChain(number, born ? null : (first.get(number) ?? 0), own));
    const changes = own.filter(({ changed }) => changed.includes('orderId')).length;
    if (changes < least || changes > most)
      violations.push(
        differs(`${changes} events tell of ${least} to ${most} changes of ${number}`),
      );
    const applied = jobs.filter(
      ({ what }) => what.kit === number && handled[what.jobId] === 'applied',
    );
    const moved = own.filter(
      (event) => event.previousPlace !== null && event.place !== event.previousPlace,
    );
    const [asked, told] = [
      sorted(applied.map(({ what }) => what.place)),
      sorted(moved.map((event) => event.place)),
    ];
    if (asked !== told)
      violations.push(
        differs(
          `jobs have led ${number} to ${asked || 'nowhere'}, events tell of ${told || 'nothing'}`,
        ),
      );
    const last = Math.max(first.get(number) ?? 0, ...applied.map(({ what }) => what.place));
    if (place !== last)
      violations.push({
        rule: 'lost write',
        detail: `${number} is at place ${place}, and its jobs have led it to ${last}`,
      });
  }

  const arrived = new Set(emitted);
  const known = new Set(events.map(({ id }) => id));
  for (const { id, sent } of events)
    if (!sent || !arrived.has(id)) violations.push({ rule: 'event not sent', detail: id });
  for (const id of arrived)
    if (!known.has(id))
      violations.push({ rule: 'event not sent', detail: `${id} is not in the outbox` });
  return violations;
};
