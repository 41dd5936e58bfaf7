import { html, type Markup } from './html.ts';
import type { TimeAxis } from './time-axis.ts';
import { clock } from './words.ts';

export const PICTURE_WIDTH = 960;

/** To a tenth of a pixel: more only makes the file larger. */
export const px = (value: number): string => String(Math.round(value * 10) / 10);

export interface PictureProps {
  /** Unique on the page. */
  readonly id: string;
  readonly title: string;
  /** What the picture says, for those who do not see it. */
  readonly description: string;
  readonly height: number;
  readonly content: readonly Markup[];
}

/** A picture in the page's own markup; where the screen is narrower it scrolls by itself. */
export const picture = ({ id, title, description, height, content }: PictureProps): Markup =>
  html`<figure><figcaption>${title}</figcaption><div class="scroll" role="group" aria-label="${title}" tabindex="0"><svg viewBox="0 0 ${PICTURE_WIDTH} ${px(height)}" role="img" aria-labelledby="${id}-title ${id}-text"><title id="${id}-title">${title}</title><desc id="${id}-text">${description}</desc>${content}</svg></div></figure>`;

const TICKS = 5;
/** Below this the seconds alone would all be the same. */
const SHORT_MS = 20_000;

/** Times of day (UTC) below a picture, and faint lines up from them. */
export const timeTicks = (
  axis: TimeAxis,
  { left, right, top, bottom }: { left: number; right: number; top: number; bottom: number },
): Markup[] => {
  const short = axis.momentAt(right) - axis.momentAt(left) < SHORT_MS;
  return Array.from({ length: TICKS }, (_, at) => {
    const x = left + ((right - left) * at) / (TICKS - 1);
    const anchor = at === 0 ? 'start' : at === TICKS - 1 ? 'end' : 'middle';
    const instant = new Date(axis.momentAt(x)).toISOString();
    const time = short ? instant.slice(11, 21) : clock(instant);
    return html`<line class="grid" x1="${px(x)}" x2="${px(x)}" y1="${px(top)}" y2="${px(bottom)}"/><text class="tick" x="${px(x)}" y="${px(bottom + 16)}" text-anchor="${anchor}">${time}</text>`;
  });
};

/** The smallest of 1, 2, 2.5, 5 times a power of ten that is not below a value. */
export const roundUp = (value: number): number => {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5].find((step) => step * power >= value) ?? 10) * power;
};
