import type { Report } from '@unified-kits/data';
import type { Finding } from '@unified-kits/domain';
import { count } from './numbers.ts';
import { type Screen, wrap } from './screen.ts';

const KEYS_SHOWN = 3;

const headline = (finding: Finding): string[] => {
  const { code, source, column, count: found, keys } = finding;
  const where = column === undefined ? source : `${source}.${column}`;
  const some = keys.slice(0, KEYS_SHOWN).join(', ');
  const more = found > KEYS_SHOWN ? ', …' : '';
  return wrap(
    `${code} ${where}: ${count(found)}${some === '' ? '' : ` (${some}${more})`}`,
    '  ',
    '    ',
  );
};

/** Shows an operator what the analysis found: keys and advice, never a row's content. */
export const showReport = (
  screen: Pick<Screen, 'line' | 'good' | 'bad' | 'dim'>,
  { id, digest, analysis }: Pick<Report, 'id' | 'digest' | 'analysis'>,
): void => {
  const { findings, verdict, sources, estimate } = analysis;
  const shown = findings.filter(({ severity }) => severity !== 'info');
  screen.line(
    `${verdict === 'GO' ? screen.good('GO') : screen.bad('NO-GO')}: ${count(sources.kit.rows)} + ${count(sources.practitioner_kits.rows)} rows, estimated ${count(estimate.seconds)} s and ${count(estimate.diskBytes / 1e6)} MB of disk`,
  );
  for (const severity of ['blocker', 'unified-blocker', 'warning'] as const) {
    const some = shown.filter((finding) => finding.severity === severity);
    if (some.length === 0) continue;
    screen.line(`${severity}s: ${some.length}`);
    // Warnings are named; what stops the migration is explained.
    for (const finding of some)
      for (const line of [
        ...headline(finding),
        ...(severity === 'warning' ? [] : wrap(finding.advice, '    ')),
      ])
        screen.line(severity === 'blocker' ? line : screen.dim(line));
  }
  screen.line(`report ${id}, digest ${digest.slice(0, 16)}…`);
};
