import { html, type Markup } from '../html.ts';
import { latencyPlot, WINDOW_WORDS } from '../latency-plot.ts';
import type { RunReport } from '../run-report.ts';
import { facts, table } from '../tables.ts';
import { duration, milliseconds, moment, number, plural, secondsBetween } from '../words.ts';

const contract = ({ contract: given }: RunReport): Markup | string => {
  if (given === null) return '';
  const { compared, requests, differing, complete, at } = given;
  return html`<p>The API was asked ${plural(requests, 'question')} about ${plural(compared, 'kit')} from both stores ${complete ? '' : '(not all that were planned) '}on ${moment(at)}: ${differing === 0 ? 'every answer was the same, byte for byte' : `${number(differing)} answers differed`}.</p>`;
};

/** What clients of the API noticed. */
export const service = (report: RunReport): Markup | undefined => {
  const { clients, batch } = report;
  if (clients === null)
    return batch === null
      ? undefined
      : html`${contract(report)}<p>How long requests took is not part of this report: nobody measured them from outside. The dashboard and the access log of the API have it.</p>`;
  const { latency, writes, reads } = clients;
  return html`${contract(report)}${latencyPlot(latency) ?? ''}<p class="legend-text">● half of the requests within · □ 99 of 100 within · | the longest; the scale is logarithmic.</p>${table(
    {
      caption: 'Requests by part of the run',
      head: ['Part', 'Requests', 'Failed', 'Half within', '99 of 100 within', 'Longest'],
      figures: [1, 2, 3, 4, 5],
      rows: latency
        .filter(({ count }) => count > 0)
        .map(({ window, count, errors, p50, p99, max }) => [
          WINDOW_WORDS[window],
          number(count),
          number(errors),
          milliseconds(p50),
          milliseconds(p99),
          milliseconds(max),
        ]),
    },
  )}${facts([
    ['Writes acknowledged', number(writes.acknowledged)],
    ['Of these found afterwards', number(writes.found)],
    ['Lost', number(writes.lost)],
    ['Rows that nobody wrote', number(writes.unexpected)],
    ['Reads of what was just written', number(reads.checked)],
    ['Of these stale', number(reads.stale)],
  ])}`;
};

/** How the work on queues went on. */
export const jobs = ({
  jobs: given,
  clients,
  batch,
  generatedAt,
}: RunReport): Markup | undefined => {
  if (batch === null) return undefined;
  const { pauses, applied, stale } = given;
  return html`${
    pauses.length === 0
      ? html`<p>The workers were not paused.</p>`
      : table({
          caption: 'Pauses of the workers; jobs wait on their queue meanwhile',
          head: ['From (UTC)', 'Until (UTC)', 'For'],
          figures: [2],
          rows: pauses.map(({ from, until }) => [
            moment(from),
            until === null ? 'paused still' : moment(until),
            duration(secondsBetween(from, until ?? generatedAt)),
          ]),
        })
  }${facts([
    ...(applied === null ? [] : [['Jobs applied during the run', number(applied)] as const]),
    ...(stale === null
      ? []
      : [['Jobs that came too late to change anything', number(stale)] as const]),
    ...(clients === null
      ? []
      : [
          ['Jobs sent by this run', number(clients.jobs.sent)] as const,
          ['Handled, once each', number(clients.jobs.handled)] as const,
          ['Sent more than once on purpose', number(clients.jobs.repeated)] as const,
          ['Kits not where jobs have led them', number(clients.jobs.astray)] as const,
          [
            'Messages that nobody can apply: sent, and put aside with their reason',
            `${number(clients.jobs.garbage)}, ${number(clients.jobs.deadLettered)}`,
          ] as const,
        ]),
  ])}`;
};
