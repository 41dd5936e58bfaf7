/** A stretch of time, in milliseconds of the epoch. */
export interface Stretch {
  readonly from: number;
  readonly until: number;
}

/** Places on a picture for moments, and back. */
export interface TimeAxis {
  place(moment: number): number;
  momentAt(place: number): number;
}

/** What nobody worked in takes at most this part of the width: a day of watching would hide an hour of work. */
const IDLE_SHARE = 0.3;

/** The stretches together, those that touch as one, in order. */
export const united = (stretches: readonly Stretch[]): Stretch[] => {
  const all: Stretch[] = [];
  for (const one of stretches.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last === undefined || one.from > last.until) all.push(one);
    else all[all.length - 1] = { from: last.from, until: Math.max(last.until, one.until) };
  }
  return all;
};

/**
 * An axis that is true to time wherever there was work, and shortens the rest, evenly.
 *
 * @param busy when there was work
 */
export const timeAxis = (
  whole: Stretch,
  busy: readonly Stretch[],
  { left, right }: { readonly left: number; readonly right: number },
): TimeAxis => {
  const until = Math.max(whole.until, whole.from + 1);
  const work = united(
    busy
      .map((one) => ({
        from: Math.max(whole.from, one.from),
        until: Math.min(until, one.until),
      }))
      .filter((one) => one.until > one.from),
  );
  const worked = work.reduce((sum, one) => sum + one.until - one.from, 0);
  const idle = until - whole.from - worked;
  const most = (worked * IDLE_SHARE) / (1 - IDLE_SHARE);
  const weight = worked === 0 || idle <= most ? 1 : most / idle;
  const scale = (right - left) / (worked + idle * weight);
  const corners: { moment: number; place: number }[] = [{ moment: whole.from, place: left }];
  const add = (moment: number, factor: number) => {
    const last = corners.at(-1);
    if (last !== undefined && moment > last.moment)
      corners.push({ moment, place: last.place + (moment - last.moment) * factor * scale });
  };
  for (const one of work) {
    add(one.from, weight);
    add(one.until, 1);
  }
  add(until, weight);
  const between = (value: number, from: 'moment' | 'place', to: 'moment' | 'place'): number => {
    const next = corners.findIndex((corner) => corner[from] >= value);
    const b = corners[next === -1 ? corners.length - 1 : next];
    const a = corners[next - 1];
    if (a === undefined || b === undefined || next === -1) return b?.[to] ?? left;
    return a[to] + ((value - a[from]) / (b[from] - a[from])) * (b[to] - a[to]);
  };
  return {
    place: (moment) => between(moment, 'moment', 'place'),
    momentAt: (place) => between(place, 'place', 'moment'),
  };
};
