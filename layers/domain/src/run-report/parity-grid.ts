import { SOURCES } from '../mapping/schema.ts';
import { html, type Markup } from './html.ts';
import { PICTURE_WIDTH, picture, px } from './picture.ts';
import type { ParityCell } from './run-report.ts';
import { number, plural, SOURCE_WORDS } from './words.ts';

const SIDE = 18;
const STEP = 22;
const PER_ROW = Math.floor(PICTURE_WIDTH / STEP);
const HEAD = 26;

const stateOf = ({ mismatched, open }: ParityCell): 'differs' | 'open' | 'equal' =>
  mismatched > 0 ? 'differs' : open > 0 ? 'open' : 'equal';

/** Told by shape as well as by colour. */
const cross = (x: number, y: number): Markup =>
  html`<path class="cross" d="M${px(x + 5)} ${px(y + 5)}l8 8m0 -8l-8 8"/>`;

/** A square for each part of the tables that was compared; undefined where none was. */
export const parityGrid = (cells: readonly ParityCell[]): Markup | undefined => {
  if (cells.length === 0) return undefined;
  let y = 0;
  const content: Markup[] = [];
  for (const source of SOURCES) {
    const own = cells.filter((cell) => cell.source === source);
    content.push(
      html`<text class="label" x="0" y="${y + 16}">${SOURCE_WORDS[source]}</text>`,
      ...own.map((cell, at) => {
        const left = (at % PER_ROW) * STEP;
        const top = y + HEAD + Math.floor(at / PER_ROW) * STEP;
        const state = stateOf(cell);
        const told = `${number(cell.compared)} rows compared, ${number(cell.mismatched)} differ`;
        return html`<rect class="cell-${state}" x="${left}" y="${top}" width="${SIDE}" height="${SIDE}" rx="3"><title>${told}</title></rect>${state === 'differs' ? cross(left, top) : ''}`;
      }),
    );
    y += HEAD + Math.ceil(own.length / PER_ROW) * STEP + 10;
  }
  const of = (state: ReturnType<typeof stateOf>) =>
    cells.filter((cell) => stateOf(cell) === state).length;
  return picture({
    id: 'parity-picture',
    title: 'Comparison by part of the tables',
    description: `${plural(of('equal'), 'part')} equal, ${number(of('differs'))} with differences, ${number(of('open'))} not compared yet.`,
    height: y,
    content,
  });
};
