import type { Figures } from './figures.ts';
import { count, milliseconds, seconds } from './numbers.ts';
import type { Screen } from './screen.ts';

const LABEL = 24;

/** The closing table, at most 80 columns wide. */
export const closingLines = (figures: Figures, screen: Pick<Screen, 'good' | 'bad'>): string[] => {
  const row = (label: string, value: string) => `  ${label.padEnd(LABEL)}${value}`;
  const verdict = (good: boolean, text: string) => (good ? screen.good(text) : screen.bad(text));
  const { rows, parity, writes, writersHeldMs, rollback, flips } = figures;
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
      'a write took',
      `p50 ${milliseconds(writersHeldMs.p50)}, p99 ${milliseconds(writersHeldMs.p99)}, longest ${milliseconds(writersHeldMs.max)}`,
    ),
    row(
      'writers held at a flip',
      flips.length === 0
        ? '-'
        : `longest ${milliseconds(Math.max(...flips.map(({ heldMs }) => heldMs)))} (${flips.length} flips)`,
    ),
    ...figures.phases.map(({ name, seconds: spent }, index) =>
      row(index === 0 ? 'phases' : '', `${name.padEnd(20)}${seconds(spent).padStart(10)}`),
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

/** Whether a run shows what it must: an exact parity, no lost write, and the stage it was to reach. */
export const succeeded = ({ parity, writes, rollback, stage, goal }: Figures): boolean =>
  parity.compared > 0 &&
  parity.mismatched === 0 &&
  writes.lost === 0 &&
  writes.unexpected === 0 &&
  (rollback === undefined ? stage === goal : rollback.legacyIntact !== false);
