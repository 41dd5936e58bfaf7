import { html, type Markup } from './html.ts';
import { PICTURE_WIDTH, picture, px, roundUp, timeTicks } from './picture.ts';
import type { ProgressSample } from './run-report.ts';
import { type Stretch, type TimeAxis, timeAxis } from './time-axis.ts';
import { duration, number } from './words.ts';

const LEFT = 80;
const RIGHT = PICTURE_WIDTH - 10;
const TOP = 12;
const BOTTOM = 172;
const HEIGHT = BOTTOM + 24;

interface Point {
  readonly x: number;
  readonly y: number;
}

/** Rows per second between two looks at the copy, over the time between them. */
export interface Rate extends Stretch {
  readonly rowsPerSecond: number;
}

export const ratesOf = (samples: readonly ProgressSample[]): Rate[] =>
  samples.flatMap((sample, at) => {
    const before = samples[at - 1];
    if (before === undefined) return [];
    const [from, until] = [Date.parse(before.at), Date.parse(sample.at)];
    const rows = sample.copied - before.copied;
    // A batch that was rolled back and looked at again has fewer than before.
    return until > from && rows >= 0
      ? [{ from, until, rowsPerSecond: (rows * 1000) / (until - from) }]
      : [];
  });

const line = (points: readonly Point[]): string =>
  points.map(({ x, y }, at) => `${at === 0 ? 'M' : 'L'}${px(x)} ${px(y)}`).join('');

const frame = (axis: TimeAxis, most: number): Markup[] => [
  ...timeTicks(axis, { left: LEFT, right: RIGHT, top: TOP, bottom: BOTTOM }),
  ...[0, 0.5, 1].map((part) => {
    const y = BOTTOM - (BOTTOM - TOP) * part;
    return html`<line class="grid" x1="${LEFT}" x2="${RIGHT}" y1="${px(y)}" y2="${px(y)}"/><text class="tick" x="${LEFT - 8}" y="${px(y + 4)}" text-anchor="end">${number(most * part)}</text>`;
  }),
];

const height = (value: number, most: number): number => BOTTOM - ((BOTTOM - TOP) * value) / most;

const axisOf = (samples: readonly ProgressSample[], busy: readonly Stretch[]) => {
  const at = samples.map((sample) => Date.parse(sample.at));
  const whole = { from: Math.min(...at), until: Math.max(...at) };
  return { whole, axis: timeAxis(whole, busy, { left: LEFT, right: RIGHT }) };
};

const overTime = ({ from, until }: Stretch): string => `over ${duration((until - from) / 1000)}`;

/** Rows copied per second; undefined with fewer looks than it takes. */
export const throughputPlot = (
  samples: readonly ProgressSample[],
  busy: readonly Stretch[],
): Markup | undefined => {
  const rates = ratesOf(samples);
  if (rates.length === 0) return undefined;
  const { whole, axis } = axisOf(samples, busy);
  const peak = Math.max(...rates.map(({ rowsPerSecond }) => rowsPerSecond));
  const most = roundUp(peak);
  const bars = rates.map(({ from, until, rowsPerSecond }) => {
    const [x, y] = [axis.place(from), height(rowsPerSecond, most)];
    return html`<rect class="area" x="${px(x)}" y="${px(y)}" width="${px(Math.max(1, axis.place(until) - x))}" height="${px(BOTTOM - y)}"/>`;
  });
  return picture({
    id: 'throughput-picture',
    title: 'Rows copied per second',
    description: `At most ${number(peak)} rows per second, ${overTime(whole)}.`,
    height: HEIGHT,
    content: [...frame(axis, most), ...bars],
  });
};

/** Keys that waited to be brought into step; undefined with fewer looks than it takes. */
export const backlogPlot = (
  samples: readonly ProgressSample[],
  busy: readonly Stretch[],
): Markup | undefined => {
  if (samples.length < 2) return undefined;
  const { whole, axis } = axisOf(samples, busy);
  const peak = Math.max(...samples.map(({ backlog }) => backlog));
  const most = Math.max(2, roundUp(peak));
  const points = samples.map(({ at, backlog }) => ({
    x: axis.place(Date.parse(at)),
    y: height(backlog, most),
  }));
  return picture({
    id: 'backlog-picture',
    title: 'Changed keys waiting to be brought into step',
    description: `At most ${number(peak)}, ${number(samples.at(-1)?.backlog ?? 0)} at the last look, ${overTime(whole)}.`,
    height: HEIGHT,
    content: [...frame(axis, most), html`<path class="line" d="${line(points)}"/>`],
  });
};
