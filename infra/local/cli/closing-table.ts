import type { Figures } from './figures.ts';
import { count, milliseconds, seconds } from './numbers.ts';
import { type RequestFigures, WINDOWS, type Window } from './request-windows.ts';
import type { Screen } from './screen.ts';

const LABEL = 24;

const WINDOW_LABELS: Readonly<Record<Window | 'all', string>> = {
  before: 'before',
  analysis: 'analysis, rehearsal',
  copy: 'during the copy',
  flips: 'at the flips',
  after: 'after',
  rollback: 'on the way back',
  all: 'all',
};

const columns = (...texts: readonly string[]): string =>
  texts.map((text) => text.padStart(10)).join('');

const requestColumns = ({ count: requests, errors, p50, p99, max }: RequestFigures): string =>
  columns(count(requests), count(errors), milliseconds(p50), milliseconds(p99), milliseconds(max));

/** The closing table, at most 80 columns wide. */
export const closingLines = (figures: Figures, screen: Pick<Screen, 'good' | 'bad'>): string[] => {
  const row = (label: string, value: string) => `  ${label.padEnd(LABEL)}${value}`;
  const verdict = (good: boolean, text: string) => (good ? screen.good(text) : screen.bad(text));
  const { rows, parity, writes, reads, requests, writersHeldMs, jobs, rollback, flips } = figures;
  const exact = parity.compared > 0 && parity.mismatched === 0;
  const kept = writes.lost === 0 && writes.unexpected === 0;
  return [
    row(
      'rows copied',
      `kit ${count(rows.kit)}, practitioner_kits ${count(rows.practitioner_kits)}`,
    ),
    row('copied at', `${count(figures.rowsPerSecond)} rows/s`),
    row(
      'parity',
      verdict(
        exact,
        `${count(parity.compared)} rows compared, ${count(parity.mismatched)} mismatched`,
      ),
    ),
    row(
      'writes meanwhile',
      `${count(writes.acknowledged)} acknowledged, ${count(writes.found)} found, ${verdict(kept, `${count(writes.lost)} lost`)}`,
    ),
    ...(writes.unexpected > 0
      ? [row('', screen.bad(`${count(writes.unexpected)} rows that nobody wrote`))]
      : []),
    row(
      'reads of own writes',
      `${count(reads.checked)} checked, ${verdict(reads.stale === 0, `${count(reads.stale)} stale`)}`,
    ),
    row(
      'a write took',
      `p50 ${milliseconds(writersHeldMs.p50)}, p99 ${milliseconds(writersHeldMs.p99)}, longest ${milliseconds(writersHeldMs.max)}`,
    ),
    row(
      'writers held at a flip',
      flips.length === 0
        ? '-'
        : `longest ${milliseconds(Math.max(...flips.map(({ heldMs }) => heldMs)))} (${flips.length} flips)`,
    ),
    ...(requests.all.count === 0
      ? []
      : [
          row('requests', columns('number', 'errors', 'p50', 'p99', 'longest')),
          ...[...WINDOWS, 'all' as const]
            .filter((window) => requests[window].count > 0)
            .map((window) => {
              const figuresOfWindow = requestColumns(requests[window]);
              return row(
                `  ${WINDOW_LABELS[window]}`,
                requests[window].errors > 0 ? screen.bad(figuresOfWindow) : figuresOfWindow,
              );
            }),
        ]),
    ...(jobs.sent === 0
      ? []
      : [
          row(
            'jobs meanwhile',
            `${count(jobs.sent)} sent, ${verdict(jobs.handled === jobs.sent && jobs.astray === 0, `${count(jobs.handled)} handled once`)} (${count(jobs.repeated)} repeated)`,
          ),
          ...(jobs.astray > 0
            ? [row('', screen.bad(`${count(jobs.astray)} kits not where jobs have led them`))]
            : []),
          row(
            'garbage among them',
            `${count(jobs.garbage)} sent, ${verdict(jobs.garbage === jobs.deadLettered, `${count(jobs.deadLettered)} dead-lettered`)}`,
          ),
          row('workers paused', `longest ${seconds(jobs.longestPauseMs / 1000)}`),
        ]),
    ...figures.phases.map(({ name, seconds: spent }, index) =>
      row(index === 0 ? 'phases' : '', `${name.padEnd(22)}${seconds(spent).padStart(10)}`),
    ),
    row('stage', figures.stage),
    row('batch', figures.batchId),
    ...(rollback === undefined
      ? []
      : [
          row('rolled back', `${count(rollback.rowsDeleted)} rows deleted`),
          row(
            'legacy tables',
            rollback.legacyIntact === null
              ? 'not compared: nothing was taken at the start'
              : verdict(
                  rollback.legacyIntact,
                  rollback.legacyIntact
                    ? 'as they were, plus every acknowledged write'
                    : 'NOT as they were',
                ),
          ),
        ]),
  ];
};

/**
 * Whether a run shows what it must: an exact parity, no lost write, no stale read, no request that failed, and
 * the stage it was to reach.
 */
export const succeeded = ({
  parity,
  writes,
  reads,
  requests,
  jobs,
  rollback,
  stage,
  goal,
}: Figures): boolean =>
  parity.compared > 0 &&
  parity.mismatched === 0 &&
  writes.lost === 0 &&
  writes.unexpected === 0 &&
  reads.stale === 0 &&
  requests.all.errors === 0 &&
  jobs.handled === jobs.sent &&
  jobs.astray === 0 &&
  jobs.deadLettered === jobs.garbage &&
  (rollback === undefined ? stage === goal : rollback.legacyIntact !== false);
