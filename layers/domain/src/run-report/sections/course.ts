import type { Stage } from '../../stages.ts';
import { html, type Markup } from '../html.ts';
import { backlogPlot, ratesOf, throughputPlot } from '../plots.ts';
import type { RunReport } from '../run-report.ts';
import { facts, folded, table } from '../tables.ts';
import { timeline } from '../timeline.ts';
import {
  duration,
  milliseconds,
  moment,
  number,
  phaseWords,
  plural,
  STAGE_WORDS,
} from '../words.ts';

/** The stages that a run has been in, each once. */
const stagesOf = ({ flips: all }: RunReport): Stage[] => [
  ...new Set(all.flatMap(({ from, to }) => [from, to])),
];

const flips = (report: RunReport): Markup =>
  report.flips.length === 0
    ? html`<p>No stage was changed.</p>`
    : html`${table({
        caption: 'Changes of stage',
        head: ['From, to', 'When (UTC)', 'By', 'Writers waited', 'Tries'],
        figures: [3, 4],
        rows: report.flips.map(({ from, to, at, actor, writersHeldMs, attempts }) => [
          html`<span class="whole">${from} → ${to}</span>`,
          moment(at),
          actor,
          writersHeldMs === null ? 'not told' : milliseconds(writersHeldMs),
          attempts === null ? '–' : number(attempts),
        ]),
      })}<p class="caption">What production is served from in each stage</p>${facts(
        stagesOf(report).map((stage) => [stage, STAGE_WORDS[stage]]),
      )}`;

const rehearsed = ({ rehearsal }: RunReport): Markup | string =>
  rehearsal === null
    ? ''
    : html`<p>Before anything else ${plural(rehearsal.rows, 'kit')} were copied, compared and taken back as a rehearsal, on ${moment(rehearsal.at)}.</p>`;

/** Phases and flips over time, as a picture and as tables. */
export const course = (report: RunReport): Markup | undefined => {
  const { phases } = report;
  if (phases.length === 0 && report.flips.length === 0) return undefined;
  return html`${rehearsed(report)}<p>Times are UTC. Where nobody was at work, the picture is shortened.</p>${timeline(report)}${flips(report)}${table(
    {
      caption: 'Phases',
      head: ['Phase', 'At work', 'First (UTC)', 'Last (UTC)'],
      figures: [1],
      rows: phases.map(({ name, seconds, spans }) => {
        const [first, last] = [spans[0], spans.at(-1)];
        return [
          phaseWords(name),
          duration(seconds),
          first === undefined ? '–' : moment(first.from),
          last === undefined ? '–' : moment(last.until),
        ];
      }),
    },
  )}`;
};

/** How fast rows were copied, and what changed meanwhile. */
export const copying = ({ copy, phases }: RunReport): Markup | undefined => {
  if (copy === null) return undefined;
  const { rows, expected, seconds, samples } = copy;
  const copied = rows.kit + rows.practitioner_kits;
  const busy = phases
    .filter(({ name }) => name === 'phase2-migration')
    .flatMap(({ spans }) =>
      spans.map(({ from, until }) => ({ from: Date.parse(from), until: Date.parse(until) })),
    );
  const figures = facts([
    ['Rows of kit', number(rows.kit)],
    ['Rows of practitioner_kits', number(rows.practitioner_kits)],
    ...(copied < expected ? [['Expected in all', number(expected)] as const] : []),
    ['Time of the copy', duration(seconds)],
    ['On average', seconds > 0 ? `${number(copied / seconds)} rows/s` : '–'],
  ]);
  const throughput = throughputPlot(samples, busy);
  if (throughput === undefined)
    return html`${figures}<p>The copy was too short to be looked at twice: there is nothing to draw.</p>`;
  const rates = ratesOf(samples);
  return html`${figures}${throughput}${backlogPlot(samples, busy)}${folded(
    'What the two pictures are made of',
    table({
      caption: 'Looks at the copy',
      head: ['When (UTC)', 'Rows copied', 'Rows/s since', 'Keys waiting'],
      figures: [1, 2, 3],
      rows: samples.map(({ at, copied: rowsThen, backlog }) => {
        const rate = rates.find(({ until }) => until === Date.parse(at));
        return [
          moment(at),
          number(rowsThen),
          rate === undefined ? '–' : number(rate.rowsPerSecond),
          number(backlog),
        ];
      }),
    }),
  )}`;
};
