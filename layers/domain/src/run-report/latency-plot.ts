import { html, type Markup } from './html.ts';
import { PICTURE_WIDTH, picture, px } from './picture.ts';
import type { ClientFigures, LATENCY_WINDOWS } from './run-report.ts';
import { milliseconds } from './words.ts';

type Latency = ClientFigures['latency'][number];

const LEFT = 190;
const RIGHT = PICTURE_WIDTH - 30;
const ROW = 30;

export const WINDOW_WORDS: Readonly<Record<(typeof LATENCY_WINDOWS)[number], string>> = {
  before: 'before',
  analysis: 'analysis, rehearsal',
  copy: 'during the copy',
  flips: 'at the flips',
  after: 'after',
  rollback: 'on the way back',
  all: 'the whole run',
};

/** How long requests took in each part of a run, on a logarithmic scale; undefined where none was made. */
export const latencyPlot = (all: readonly Latency[]): Markup | undefined => {
  const windows = all.filter(({ window, count }) => window !== 'all' && count > 0);
  if (windows.length === 0) return undefined;
  const decades = Math.max(1, Math.ceil(Math.log10(Math.max(...windows.map(({ max }) => max)))));
  const place = (ms: number) =>
    LEFT + ((RIGHT - LEFT) * Math.max(0, Math.log10(Math.max(1, ms)))) / decades;
  const bottom = windows.length * ROW + 6;
  const ticks = Array.from({ length: decades + 1 }, (_, power) => {
    const x = px(place(10 ** power));
    return html`<line class="grid" x1="${x}" x2="${x}" y1="0" y2="${bottom}"/><text class="tick" x="${x}" y="${bottom + 16}" text-anchor="middle">${milliseconds(10 ** power)}</text>`;
  });
  const rows = windows.map(({ window, p50, p99, max }, at) => {
    const y = at * ROW + ROW / 2;
    const [middle, high, end] = [place(p50), place(p99), place(max)];
    return html`<text class="label" x="0" y="${y + 5}">${WINDOW_WORDS[window]}</text><line class="whisker" x1="${px(middle)}" x2="${px(end)}" y1="${y}" y2="${y}"/><circle class="dot" cx="${px(middle)}" cy="${y}" r="5"/><rect class="dot-99" x="${px(high - 4.5)}" y="${y - 4.5}" width="9" height="9"/><line class="end" x1="${px(end)}" x2="${px(end)}" y1="${y - 7}" y2="${y + 7}"/>`;
  });
  return picture({
    id: 'latency-picture',
    title: 'How long requests took',
    description: windows
      .map(
        ({ window, p50, p99, max }) =>
          `${WINDOW_WORDS[window]}: half within ${milliseconds(p50)}, 99 of 100 within ${milliseconds(p99)}, longest ${milliseconds(max)}`,
      )
      .join('; '),
    height: bottom + 24,
    content: [...ticks, ...rows],
  });
};
