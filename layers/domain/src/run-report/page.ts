import { createHash } from 'node:crypto';
import { html, Markup } from './html.ts';
import type { RunReport } from './run-report.ts';
import { auditLog } from './sections/audit-log.ts';
import { copying, course } from './sections/course.ts';
import { decision, signOff } from './sections/decision.ts';
import { monitoring, parity, rollback } from './sections/proofs.ts';
import { jobs, service } from './sections/service.ts';
import { summary, TONES } from './sections/summary.ts';
import { STYLES } from './styles.ts';
import { moment, STATE_WORDS } from './words.ts';

type Section = readonly [id: string, title: string, of: (report: RunReport) => Markup | undefined];

/** In the order in which they are asked for; one that has nothing to say is not there. */
const SECTIONS: readonly Section[] = [
  ['summary', 'In short', summary],
  ['decision', 'GO or NO-GO', decision],
  ['sign-off', 'Sign-off', signOff],
  ['course', 'Course of events', course],
  ['copy', 'Copy', copying],
  ['parity', 'Comparison of both stores', parity],
  ['service', 'The API meanwhile', service],
  ['jobs', 'Jobs meanwhile', jobs],
  ['monitoring', 'Watching', monitoring],
  ['rollback', 'Proof of the rollback', rollback],
  ['audit-log', 'Audit log', auditLog],
];

/** The one style sheet by its hash: no other may take effect, whatever finds its way into the page. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLES).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'`;

const titleOf = ({ batch, id }: RunReport): string =>
  `${batch === null ? 'Analysis' : 'Migration'} ${id.slice(0, 8)}`;

/**
 * A run's report as one HTML file: it loads nothing, runs no script, prints, and follows the reader's choice of
 * a dark or a light screen.
 */
export const renderRunReport = (report: RunReport): string => {
  const sections = SECTIONS.flatMap(([id, title, of]) => {
    const content = of(report);
    return content === undefined ? [] : [{ id, title, content }];
  });
  const { id, environment, generatedAt, state, analysis } = report;
  const title = titleOf(report);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>${title}: ${STATE_WORDS[state]} – Unified Kits</title>
<style>${new Markup(STYLES)}</style>
</head>
<body>
<a class="skip" href="#summary">Skip to the report</a>
<header>
<p class="product">Unified Kits · ${environment}</p>
<h1>${title} <span class="state ${TONES[state]}">${STATE_WORDS[state]}</span></h1>
<p class="origin"><code>${id}</code>${analysis === null ? '' : html` · mapping “${analysis.mappingName}”, PostgreSQL ${analysis.serverVersion}`} · as of ${moment(generatedAt)} UTC</p>
</header>
<nav aria-label="Contents"><ul>${sections.map((one) => html`<li><a href="#${one.id}">${one.title}</a></li>`)}</ul></nav>
<main>
${sections.map(
  (one) => html`<section id="${one.id}" aria-labelledby="${one.id}-heading">
<h2 id="${one.id}-heading">${one.title}</h2>
${one.content}
</section>
`,
)}</main>
<footer><p>Keys, counters and names of those who decided; no content of any kit. Made by Unified Kits from the schema “migration” of the database.</p></footer>
</body>
</html>
`.text;
};
