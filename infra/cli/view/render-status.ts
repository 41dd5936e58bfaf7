import { stripVTControlCharacters } from 'node:util';
import type { MigrationStanding } from '@unified-kits/data';
import { FLAG_PARAMETERS, type Flags } from '@unified-kits/domain';
import type { Output } from '../output.ts';
import { type ChecklistStep, checklist } from './checklist.ts';
import { averageRate, copyTotal } from './copy-rate.ts';
import type { OperatorStatus } from './operator-status.ts';
import { bar, clock, count, duration, shorten } from './words.ts';

/** How a status is drawn. */
export interface View {
  readonly width: number;
  /** Colours a text, or leaves it as it is. */
  readonly style: Output['style'];
  /** Rows per second of the copy; by default their average since it began. */
  readonly rate?: number | undefined;
}

const BAR_CELLS = 24;
const DETAIL = '        ';

const MARK: Readonly<Record<ChecklistStep['state'], string>> = {
  done: '[x]',
  now: '[>]',
  open: '[ ]',
};

const head = ({ environment, standing }: OperatorStatus): string[] => {
  if (standing === undefined)
    return [`Unified Kits, ${environment}: no analysis has been made yet`];
  const { stage, since, batch, at } = standing;
  return [
    `Unified Kits, ${environment}, ${at.slice(0, 10)} ${clock(at)} UTC`,
    `Stage    ${stage}, since ${since.slice(0, 10)} ${clock(since)}`,
    ...(batch === null
      ? []
      : [`Batch    ${batch.id}, ${batch.outcome ?? 'active'}, by ${batch.actor}`]),
  ];
};

const flagLine = (flags: Flags | undefined): string => {
  if (flags === undefined) return 'Flags    cannot be read: the guard counts as on';
  const names = ['unifiedReads', 'unifiedWrites', 'dualWrite'] as const;
  const shown = names.map(
    (name) => `${FLAG_PARAMETERS[name].parameter} ${flags[name] ? 'on' : 'off'}`,
  );
  return `Flags    ${[...shown, `guard ${flags.migrationInProgress ? 'on' : 'off'}`].join(', ')}`;
};

const progress = (part: number, texts: readonly (string | undefined)[]): string =>
  `${DETAIL}${[`${bar(part, BAR_CELLS)} ${Math.floor(100 * part)} %`, ...texts].filter((text) => text !== undefined).join('  ')}`;

const copyLines = (standing: MigrationStanding, rate: number | undefined): string[] => {
  const { copied, expected } = copyTotal(standing);
  if (expected === 0) return [];
  const left = expected - copied;
  const done = standing.copy.every(({ ranges, rangesDone }) => ranges === rangesDone);
  const eta = done || rate === undefined || rate <= 0 ? undefined : `ETA ${duration(left / rate)}`;
  return [
    progress(copied / expected, [
      `${count(copied)} rows`,
      rate === undefined || done ? undefined : `${count(rate)} rows/s`,
      eta,
    ]),
    ...standing.copy.map(
      ({ source, copied: rows, expected: all, ranges, rangesDone, rangesOpen }) =>
        `${DETAIL}${source}: ${Math.floor((100 * rows) / Math.max(all, 1))} %, ranges ${rangesDone} of ${ranges} done, ${rangesOpen} in work`,
    ),
  ];
};

const parityLines = ({ parity }: MigrationStanding): string[] => {
  if (parity === null || parity.ranges === 0) return [];
  return [
    progress(parity.rangesDone / parity.ranges, [
      `${count(parity.compared)} rows compared, ${count(parity.mismatched)} differ`,
    ]),
  ];
};

/** What can be said of the step that is being taken. */
const stepDetail = (
  number: number,
  standing: MigrationStanding,
  rate: number | undefined,
): string[] => {
  if (number === 4) return copyLines(standing, rate);
  if (number === 5) return parityLines(standing);
  return number === 9 ? [`${DETAIL}${count(standing.checks)} checks made in this stage`] : [];
};

const stepLines = (status: OperatorStatus, { style, rate }: View): string[] => {
  const { standing, executions } = status;
  const state = executions.find(({ workflow }) => workflow === 'cutover')?.state;
  return checklist(status).flatMap((step) => {
    const mark = `${MARK[step.state]} ${step.number} ${step.title}`;
    if (step.state === 'done') return [`  ${style('green', mark)}`];
    if (step.state === 'open') return [`  ${style('dim', mark)}`];
    return [
      `  ${style('bold', mark)}${state === undefined ? ': no cutover is running' : `: ${state}`}`,
      ...(standing === undefined ? [] : stepDetail(step.number, standing, rate)),
    ];
  });
};

const backlogLine = ({ backlog }: MigrationStanding, { style }: View): string => {
  const { noted, failed, oldestSeconds, causes } = backlog;
  if (noted === 0) return 'Backlog  empty';
  const why = causes.map(({ cause, noted: keys }) => `${cause} ${count(keys)}`).join(', ');
  const stuck = failed === 0 ? '' : style('red', `, ${count(failed)} stuck`);
  return `Backlog  ${count(noted)} keys${stuck}, oldest ${duration(oldestSeconds)} (${why})`;
};

const jobsLine = ({ workers, standing }: OperatorStatus): string[] => {
  if (workers === undefined) return [];
  const { mapping, messagesWaiting, messagesInFlight, messagesDelayed, working } = workers;
  const paused = standing?.workersPaused === true ? ' (paused)' : '';
  return [
    `Jobs     ${count(messagesWaiting + messagesDelayed)} wait, ${count(messagesInFlight)} in flight; workers ${mapping}${paused}, ${working.length} at work`,
  ];
};

const runLines = ({ executions }: OperatorStatus): string[] =>
  executions.length === 0
    ? ['Runs     none']
    : executions.map(
        ({ workflow, state, startedAt }) =>
          `Runs     ${workflow} since ${clock(startedAt)}, in "${state}"`,
      );

const eventLines = ({ events }: MigrationStanding, { style }: View): string[] =>
  events.length === 0
    ? []
    : [
        '',
        ...events
          .toReversed()
          .map(({ at, phase, action, actor }) =>
            style('dim', `${clock(at)}  ${phase}  ${action}  by ${actor}`),
          ),
      ];

/** Cuts what is too wide, escape sequences not counted. */
const cut = (line: string, width: number): string => {
  const plain = stripVTControlCharacters(line);
  return plain.length <= width ? line : shorten(plain, width);
};

/** A status line by line, none wider than the view: the checklist, the step that is being taken, what waits. */
export const renderStatus = (status: OperatorStatus, view: View): string[] => {
  const { standing, flags } = status;
  const rate = view.rate ?? (standing === undefined ? undefined : averageRate(standing));
  const lines = [
    ...head(status),
    flagLine(flags),
    '',
    ...stepLines(status, { ...view, rate }),
    '',
    ...(standing === undefined ? [] : [backlogLine(standing, view)]),
    ...jobsLine(status),
    ...runLines(status),
    ...(standing === undefined ? [] : eventLines(standing, view)),
  ];
  return lines.map((line) => cut(line, view.width));
};

/** The same in one line, for a log. */
export const statusLine = (status: OperatorStatus, rate?: number): string => {
  const { standing, executions } = status;
  const run = executions.map(({ workflow, state }) => `${workflow}: ${state}`).join(', ');
  if (standing === undefined) return `no analysis yet  ${run || 'nothing is running'}`;
  const { copied, expected } = copyTotal(standing);
  const copying = standing.stage === 'copying' && expected > 0;
  return [
    clock(standing.at),
    standing.stage,
    run || 'nothing is running',
    ...(copying
      ? [
          `${Math.floor((100 * copied) / expected)} %`,
          ...(rate === undefined ? [] : [`${count(rate)} rows/s`]),
        ]
      : []),
    ...(standing.backlog.noted === 0 ? [] : [`backlog ${count(standing.backlog.noted)}`]),
  ].join('  ');
};
