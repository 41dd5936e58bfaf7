import { html, type Markup } from '../html.ts';
import type { RunReport, RunState } from '../run-report.ts';
import { duration, milliseconds, number, plural, STAGE_WORDS, secondsBetween } from '../words.ts';

/** Whether a state is good news, bad news, or somebody's turn. */
export const TONES: Readonly<Record<RunState, 'good' | 'bad' | 'wait'>> = {
  'no-go': 'bad',
  'awaiting-approval': 'wait',
  approved: 'good',
  'under-way': 'wait',
  stopped: 'bad',
  served: 'good',
  closed: 'good',
  'rolling-back': 'wait',
  'rolled-back': 'good',
};

const kitsOf = ({ copy, analysis }: RunReport): number => {
  const { kit, practitioner_kits } = copy?.rows ??
    analysis?.rows ?? { kit: 0, practitioner_kits: 0 };
  return kit + practitioner_kits;
};

const blockersOf = ({ analysis }: RunReport): number =>
  analysis?.findings.filter(({ severity }) => severity === 'blocker').length ?? 0;

/** What happened, for readers who have never seen the system; and what comes next. */
const STORIES: Readonly<Record<RunState, (report: RunReport) => readonly string[]>> = {
  'no-go': (report) => [
    `The data cannot be moved safely yet: the analysis of ${number(kitsOf(report))} kits found ${plural(blockersOf(report), 'kind')} of problem that must be corrected first.`,
    'Nothing was changed, and nobody was affected. Each problem below says what to do; then the analysis is run again.',
  ],
  'awaiting-approval': (report) => [
    `The analysis of ${number(kitsOf(report))} kits found nothing that stands against moving them.`,
    'Nothing has been changed. The migration can begin once this report is approved.',
  ],
  approved: (report) => [
    `The analysis of ${number(kitsOf(report))} kits found nothing that stands against moving them, and the report is approved.`,
    'Nothing has been changed yet.',
  ],
  'under-way': (report) => [
    `The kits are being moved; ${number(kitsOf(report))} are copied so far.`,
    `Meanwhile production works as ever, from ${STAGE_WORDS[report.stage]}.`,
  ],
  stopped: (report) => [
    `The migration stopped (${report.stoppedBy ?? 'no reason was recorded'}) and waits for an operator.`,
    `Production goes on, from ${STAGE_WORDS[report.stage]}. Every step may be taken again; the way back is open.`,
  ],
  served: (report) => [
    `All ${number(kitsOf(report))} kits are moved, and production is served from ${STAGE_WORDS[report.stage]}.`,
    'The migration is being watched, and can still be taken back without losing anything written since.',
  ],
  closed: (report) => [
    `All ${number(kitsOf(report))} kits are moved. Production is served from ${STAGE_WORDS.closed}.`,
    'The migration is over. It can still be rolled back; the runbook says under which conditions.',
  ],
  'rolling-back': (report) => [
    'The migration is being taken back.',
    `Meanwhile production works as ever, from ${STAGE_WORDS[report.stage]}.`,
  ],
  'rolled-back': (report) => [
    `The migration was taken back, and production works from ${STAGE_WORDS.legacy}, as before.`,
    report.rollback?.proof == null
      ? 'The proof that nothing is left of it is not recorded.'
      : 'Nothing is left of it, which was proven; what was written meanwhile is in the old tables.',
  ],
};

/** Where production is served from the copies. */
const MOVED: ReadonlySet<RunState> = new Set(['served', 'closed']);

interface Tile {
  readonly name: string;
  readonly value: string;
  readonly note: string;
  readonly tone?: 'good' | 'bad' | 'wait';
}

const comparedTile = ({ parity }: RunReport): Tile[] => {
  const last = parity?.runs.findLast(({ finishedAt }) => finishedAt !== null);
  if (last === undefined) return [];
  return [
    {
      name: 'Rows that differ',
      value: number(last.mismatched),
      note: `of ${number(last.compared)} compared, content and all`,
      tone: last.mismatched === 0 ? 'good' : 'bad',
    },
  ];
};

const heldTile = ({ flips }: RunReport): Tile[] => {
  const held = flips.flatMap(({ writersHeldMs }) => writersHeldMs ?? []);
  if (held.length === 0) return [];
  return [
    {
      name: 'Longest wait of a write',
      value: milliseconds(Math.max(...held)),
      note: `at ${plural(flips.length, 'change of stage', 'changes of stage')}`,
    },
  ];
};

const clientTiles = ({ clients }: RunReport): Tile[] => {
  if (clients === null) return [];
  const { writes, latency } = clients;
  const all = latency.find(({ window }) => window === 'all');
  return [
    {
      name: 'Writes lost',
      value: number(writes.lost),
      note: `of ${number(writes.acknowledged)} made meanwhile`,
      tone: writes.lost + writes.unexpected === 0 ? 'good' : 'bad',
    },
    ...(all === undefined || all.count === 0
      ? []
      : [
          {
            name: 'Requests failed',
            value: number(all.errors),
            note: `of ${number(all.count)} made meanwhile`,
            tone: all.errors === 0 ? ('good' as const) : ('bad' as const),
          },
        ]),
  ];
};

const tilesOf = (report: RunReport): Tile[] => {
  const { batch, analysis, copy, generatedAt } = report;
  const tiles: Tile[] = [];
  if (copy !== null)
    tiles.push({
      name: MOVED.has(report.state) ? 'Kits moved' : 'Kits copied',
      value: number(kitsOf(report)),
      note: `${number(copy.rows.kit)} of clients, ${number(copy.rows.practitioner_kits)} of practitioners`,
    });
  else if (analysis !== null)
    tiles.push(
      {
        name: 'Kits examined',
        value: number(kitsOf(report)),
        note: `${number(analysis.rows.kit)} of clients, ${number(analysis.rows.practitioner_kits)} of practitioners`,
      },
      {
        name: 'Blockers',
        value: number(blockersOf(report)),
        note: 'kinds of problem that stop the migration',
        tone: blockersOf(report) === 0 ? 'good' : 'bad',
      },
      {
        name: 'The copy is expected to take',
        value: duration(analysis.estimate.seconds),
        note: 'an estimate; production goes on meanwhile',
      },
    );
  tiles.push(...comparedTile(report), ...clientTiles(report), ...heldTile(report));
  if (batch !== null)
    tiles.push({
      name: batch.endedAt === null ? 'So far' : 'From beginning to end',
      value: duration(secondsBetween(batch.startedAt, batch.endedAt ?? generatedAt)),
      note: 'watching included',
    });
  return tiles;
};

const tile = ({ name, value, note, tone }: Tile): Markup =>
  html`<div class="tile ${tone ?? 'plain'}"><dt>${name}</dt><dd><span class="value">${value}</span> <span class="note">${note}</span></dd></div>`;

export const summary = (report: RunReport): Markup =>
  html`${STORIES[report.state](report).map((text, at) => html`<p class="${at === 0 ? 'lead' : 'more'}">${text}</p>`)}<dl class="tiles">${tilesOf(report).map(tile)}</dl>`;
