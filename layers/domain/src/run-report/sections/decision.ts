import { SEVERITIES, type Severity } from '../../findings.ts';
import { html, type Markup } from '../html.ts';
import type { RunReport } from '../run-report.ts';
import { facts, folded, table } from '../tables.ts';
import { bytes, duration, moment, number, plural } from '../words.ts';

type Analysis = NonNullable<RunReport['analysis']>;
type Finding = Analysis['findings'][number];

const SEVERITY_WORDS: Readonly<Record<Severity, string>> = {
  blocker: 'Blocker',
  'unified-blocker': 'Stops the last stages',
  warning: 'Warning',
  info: 'To be known',
};

const whereOf = ({ source, column }: Finding): string =>
  column === null ? source : `${source}.${column}`;

const keysOf = ({ keys, count }: Finding): Markup | string =>
  keys.length === 0
    ? ''
    : html`<p class="keys">Keys: ${keys.map((key) => html`<code>${key}</code> `)}${count > keys.length ? html`and ${number(count - keys.length)} more` : ''}</p>`;

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const finding = (one: Finding): Markup =>
  html`<li class="finding ${one.severity}"><p class="finding-head"><span class="badge">${SEVERITY_WORDS[one.severity]}</span> <strong>${capital(one.title)}: ${number(one.count)}</strong> <span class="where">in ${whereOf(one)} · ${one.code}</span></p><p>${one.advice}</p>${keysOf(one)}</li>`;

const findings = (analysis: Analysis): Markup => {
  const weighty = analysis.findings.filter(({ severity }) => severity !== 'info');
  const known = analysis.findings.filter(({ severity }) => severity === 'info');
  return html`${weighty.length === 0 ? html`<p>Nothing that wants attention was found.</p>` : html`<ul class="findings">${weighty.map(finding)}</ul>`}${
    known.length === 0
      ? ''
      : folded(
          `${plural(known.length, 'thing')} to be known`,
          html`<ul class="findings">${known.map(finding)}</ul>`,
        )
  }`;
};

const counted = ({ findings: all }: Analysis): string =>
  SEVERITIES.map((severity) => {
    const of = all.filter((one) => one.severity === severity).length;
    return `${SEVERITY_WORDS[severity]}: ${number(of)}`;
  }).join(' · ');

/** GO or NO-GO, and everything that was found. */
export const decision = ({ analysis }: RunReport): Markup | undefined => {
  if (analysis === null) return undefined;
  const { verdict, estimate, rows, practitioners, createdAt } = analysis;
  return html`<p class="verdict ${verdict === 'GO' ? 'good' : 'bad'}">${verdict}</p><p>${counted(analysis)}</p>${findings(analysis)}${facts(
    [
      ['Analysed', moment(createdAt)],
      ['Rows of kit', number(rows.kit)],
      ['Rows of practitioner_kits', number(rows.practitioner_kits)],
      ['Practitioners', number(practitioners)],
      ['Expected time of the copy', duration(estimate.seconds)],
      ['Expected disk', bytes(estimate.diskBytes)],
      ['Expected write-ahead log', bytes(estimate.walBytes)],
    ],
  )}<p class="basis">The expectations rest on ${estimate.basis}.</p>`;
};

/** Who approved which digest, when; and who began and drove the batch. */
export const signOff = ({ analysis, batch, events }: RunReport): Markup | undefined => {
  if (analysis === null && batch === null) return undefined;
  const rows: (readonly [string, string, Markup | string])[] = [];
  if (analysis !== null)
    rows.push(
      analysis.approvedAt === null
        ? ['Approval', 'nobody yet', '–']
        : ['Approval', analysis.approvedBy ?? 'not recorded', moment(analysis.approvedAt)],
    );
  if (batch !== null) {
    rows.push(['Beginning of the batch', batch.actor, moment(batch.startedAt)]);
    if (batch.endedAt !== null)
      rows.push([
        batch.outcome === 'rolled-back' ? 'End: rolled back' : 'End: closed',
        events.findLast(({ action }) => action === `batch-${batch.outcome}`)?.actor ??
          'not recorded',
        moment(batch.endedAt),
      ]);
  }
  return html`${table({ caption: 'Who decided what, and when', head: ['What', 'Who', 'When (UTC)'], rows })}${
    analysis === null
      ? ''
      : facts([
          ['Report', html`<code>${analysis.reportId}</code>`],
          [
            'Digest of the report, which an approval binds to',
            html`<code>${analysis.digest}</code>`,
          ],
          ['Digest of the mapping', html`<code>${analysis.mappingDigest}</code>`],
          ['Digest of the schema', html`<code>${analysis.schemaDigest}</code>`],
        ])
  }`;
};
