import { html, type Markup } from '../html.ts';
import { parityGrid } from '../parity-grid.ts';
import type { RunReport } from '../run-report.ts';
import { facts, table } from '../tables.ts';
import { moment, number, plural } from '../words.ts';

const LEGEND = html`<ul class="legend"><li><span class="swatch equal"></span> equal</li><li><span class="swatch differs"></span> has differences (with a cross)</li><li><span class="swatch open"></span> not compared yet</li></ul>`;

/** Both stores, row by row. */
export const parity = ({ parity: given }: RunReport): Markup | undefined => {
  if (given === null) return undefined;
  const { runs, cells, mismatches, sampledRows, sampledMismatches } = given;
  const grid = parityGrid(cells);
  return html`<p>Every row of both old tables is compared with its row in the new one, all columns. Each square is a part of a table, in the order of its keys; they show the last comparison. What differs on the way is brought into step from the store that production writes to, and everything is compared again.</p>${grid === undefined ? '' : html`${LEGEND}${grid}`}${table(
    {
      caption: 'Comparisons of every row',
      head: ['Begun (UTC)', 'Stage', 'Finished (UTC)', 'Compared', 'Differ'],
      figures: [3, 4],
      rows: runs.map(({ startedAt, stage, finishedAt, compared, mismatched }) => [
        moment(startedAt),
        stage ?? '–',
        finishedAt === null ? 'not finished' : moment(finishedAt),
        number(compared),
        number(mismatched),
      ]),
    },
  )}${
    mismatches.length === 0
      ? ''
      : table({
          caption: 'What differed in the last comparison (the first few keys)',
          head: ['Row', 'Columns'],
          rows: mismatches.map(({ source, legacyId, columns }) => [
            `${source} ${legacyId}`,
            columns.join(', '),
          ]),
        })
  }${sampledRows === 0 ? '' : html`<p>While the migration was watched, ${plural(sampledRows, 'more row was', 'more rows were')} compared as samples; ${number(sampledMismatches)} differed.</p>`}`;
};

/** What the watching saw after the writes were switched. */
export const monitoring = ({ monitoring: given }: RunReport): Markup | undefined =>
  given === null
    ? undefined
    : facts([
        ['Checks', number(given.checks)],
        ['First', moment(given.first)],
        ['Last', moment(given.last)],
        ['Rows compared in samples', number(given.compared)],
        ['Most keys waiting at a check', number(given.highestBacklog)],
        [
          'Writes sent to the old tables and refused (each was written to the new one)',
          number(given.refused),
        ],
      ]);

const good = (value: number, what: string): readonly [string, string, string] => [
  what,
  number(value),
  value === 0 ? 'as it must be' : 'NOT as it must be',
];

/** That nothing is left of a batch that was taken back. */
export const rollback = ({ rollback: given, clients }: RunReport): Markup | undefined => {
  if (given === null) return undefined;
  const { proof, rowsDeleted } = given;
  if (proof === null)
    return html`<p>The rollback has deleted ${number(rowsDeleted)} rows from the new table so far; it is proven when it has ended.</p>`;
  const intact = clients?.legacyIntact ?? null;
  return html`<p>Proven ${moment(proof.at)} in stage “${proof.stage}”.</p>${table({
    caption: 'What is left of the batch',
    head: ['What', 'Number', 'Verdict'],
    figures: [1],
    rows: [
      good(proof.rowsLeft, 'Rows in the new table'),
      good(proof.backlogLeft, 'Keys waiting to be brought into step'),
      good(proof.suspendedTriggers, "The organisation's own triggers still switched off"),
      good(proof.triggersOn, "The migration's triggers still switched on"),
    ],
  })}${facts([
    ['Rows deleted from the new table', number(rowsDeleted)],
    [
      'The old tables beside what they were at the start',
      intact === null
        ? 'not compared in this run: that needs a copy of them from before'
        : intact
          ? 'as they were, plus every acknowledged write'
          : 'NOT as they were',
    ],
  ])}`;
};
