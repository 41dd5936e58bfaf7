import type { Stage } from '../stages.ts';
import { html, type Markup } from './html.ts';
import { PICTURE_WIDTH, picture, px, timeTicks } from './picture.ts';
import type { RunReport } from './run-report.ts';
import { type Stretch, timeAxis } from './time-axis.ts';
import { duration, phaseWords } from './words.ts';

const LEFT = 170;
const RIGHT = PICTURE_WIDTH - 10;
const TOP = 8;
const BAND = 28;
const ROW = 26;
/** Work that took no longer than a blink is still to be seen. */
const LEAST_WIDTH = 2;
/** About what a letter of a label takes. */
const LETTER = 7;

const stretch = ({ from, until }: { from: string; until: string }): Stretch => ({
  from: Date.parse(from),
  until: Date.parse(until),
});

/** From the first work or flip to the last; undefined where there was none. */
const wholeOf = ({ phases, flips }: RunReport): Stretch | undefined => {
  const work = phases.flatMap(({ spans }) => spans.map(stretch));
  const at = flips.map((flip) => Date.parse(flip.at));
  const all = [...work.flatMap(({ from, until }) => [from, until]), ...at];
  return all.length === 0 ? undefined : { from: Math.min(...all), until: Math.max(...all) };
};

interface Held extends Stretch {
  readonly stage: Stage;
}

/** Which stage held when, from the flips. */
const stagesHeld = ({ flips, stage }: RunReport, whole: Stretch): Held[] => {
  const ends = flips.map((flip) => Date.parse(flip.at));
  const names = [flips[0]?.from ?? stage, ...flips.map(({ to }) => to)];
  return names.map((name, at) => ({
    stage: name,
    from: ends[at - 1] ?? whole.from,
    until: ends[at] ?? whole.until,
  }));
};

/** Phases and stages over time; undefined where nothing has happened yet. */
export const timeline = (report: RunReport): Markup | undefined => {
  const whole = wholeOf(report);
  if (whole === undefined) return undefined;
  const { phases, flips } = report;
  const busy = phases.flatMap(({ spans }) => spans.map(stretch));
  const axis = timeAxis(whole, busy, { left: LEFT, right: RIGHT });
  const bottom = TOP + BAND + 10 + phases.length * ROW;
  const held = stagesHeld(report, whole).map(({ stage, from, until }) => {
    const [x, end] = [axis.place(from), axis.place(until)];
    const fits = end - x > stage.length * LETTER + 8;
    return html`<rect class="stage-${stage}" x="${px(x)}" y="${TOP}" width="${px(Math.max(1, end - x))}" height="${BAND}"><title>${stage}</title></rect>${fits ? html`<text class="in-stage" x="${px((x + end) / 2)}" y="${TOP + 19}" text-anchor="middle">${stage}</text>` : ''}`;
  });
  const rows = phases.map(({ name, spans }, at) => {
    const y = TOP + BAND + 10 + at * ROW;
    return html`<text class="label" x="0" y="${y + 16}">${phaseWords(name)}</text>${spans.map(
      (one) => {
        const { from, until } = stretch(one);
        const x = axis.place(from);
        const width = Math.max(LEAST_WIDTH, axis.place(until) - x);
        return html`<rect class="work" x="${px(x)}" y="${y + 4}" width="${px(width)}" height="${ROW - 10}" rx="2"/>`;
      },
    )}`;
  });
  const marks = flips.map((flip) => {
    const x = px(axis.place(Date.parse(flip.at)));
    return html`<line class="flip" x1="${x}" x2="${x}" y1="${TOP}" y2="${bottom}"><title>${flip.from} → ${flip.to}</title></line>`;
  });
  const told = phases.map(({ name, seconds }) => `${phaseWords(name)}: ${duration(seconds)}`);
  const way =
    flips.length === 0
      ? 'No stage was changed.'
      : `Stages: ${[flips[0]?.from, ...flips.map(({ to }) => to)].join(', ')}.`;
  return picture({
    id: 'timeline-picture',
    title: 'Phases and stages over time',
    description: `${told.join('; ')}. ${way} The tables below have the times.`,
    height: bottom + 24,
    content: [
      ...timeTicks(axis, { left: LEFT, right: RIGHT, top: TOP + BAND, bottom }),
      html`<text class="label" x="0" y="${TOP + 19}">Stage</text>`,
      ...held,
      ...rows,
      ...marks,
    ],
  });
};
