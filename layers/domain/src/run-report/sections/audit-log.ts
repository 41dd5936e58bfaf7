import { html, type Markup } from '../html.ts';
import type { ReportedEvent, RunReport } from '../run-report.ts';
import { table } from '../tables.ts';
import { moment, number, plural } from '../words.ts';

const when = ({ at, until, times }: ReportedEvent): Markup =>
  until === null
    ? moment(at)
    : html`${moment(at)} <span class="repeated">to ${moment(until)}, ${number(times)} times; the last is shown</span>`;

const DIGEST = /^[0-9a-f]{64}$/;

const shownValue = (value: string | number | boolean): string => {
  if (typeof value === 'number') return number(value);
  // In whole it stands at the sign-off.
  const text = String(value);
  return DIGEST.test(text) ? `${text.slice(0, 16)}…` : text;
};

const details = ({ detail }: ReportedEvent): Markup | string => {
  const entries = Object.entries(detail);
  return entries.length === 0
    ? '–'
    : html`<span class="details">${entries.map(([name, value]) => html`<span>${name} <b>${shownValue(value)}</b></span> `)}</span>`;
};

/** What was done, by whom, in order. */
export const auditLog = ({ events, eventsOmitted }: RunReport): Markup =>
  html`${eventsOmitted === 0 ? '' : html`<p>${plural(eventsOmitted, 'older entry is', 'older entries are')} left out here; migration.event has them.</p>`}${
    events.length === 0
      ? html`<p>Nothing is recorded.</p>`
      : table({
          caption: 'What was done, by whom',
          head: ['When (UTC)', 'Phase', 'What', 'Who', 'Figures'],
          rows: events.map((one) => [when(one), one.phase, one.action, one.actor, details(one)]),
        })
  }`;
