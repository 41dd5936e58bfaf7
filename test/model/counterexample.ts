import { backlog } from './postgres.ts';
import type { Role, Scenario } from './scenario.ts';
import { PROGRAM_NAMES } from './scenarios.ts';
import type { Counterexample } from './search.ts';
import type { Actor, Content, State } from './state.ts';
import { actorAt, has, KEYS, ROWS } from './state.ts';

const CONTENT_NAMES = ['–', 'old', 'old', 'stale', 'w1', 'w1′', 'w2', 'w2′'];
const ROW_NAMES = ['kit a', 'kit b', 'kits a', 'kits b'];
const KEY_NAMES = ['a', 'b'];

const contentName = (content: Content): string => CONTENT_NAMES[content] ?? String(content);
const keyNames = (keys: number): string =>
  KEYS.filter((key) => has(keys, key))
    .map((key) => KEY_NAMES[key])
    .join(' ') || '–';

/** An actor's name: its role, numbered where there are several. */
const actorName = (roles: readonly Role[], index: number): string => {
  const role = roles[index] ?? '';
  const same = roles.filter((other) => other === role).length;
  return same === 1
    ? role
    : `${role} ${roles.slice(0, index + 1).filter((other) => other === role).length}`;
};

/** What nobody else sees yet. */
const uncommitted = ({ wrote, notes, taken }: Actor): string => {
  const rows = ROWS.filter((row) => wrote[row] !== 0).map(
    (row) => `${ROW_NAMES[row]} = ${contentName(wrote[row] - 1)}`,
  );
  const noted = notes === 0 ? [] : [`noted ${keyNames(notes)}`];
  const took = taken === 0 ? [] : [`taken ${keyNames(taken)}`];
  const all = [...rows, ...noted, ...took];
  return all.length === 0 ? '' : `  [${all.join(', ')}]`;
};

const line = (columns: readonly string[], widths: readonly number[]): string =>
  columns
    .map((column, index) => column.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();

const columnsOf = (step: number, state: State, who: string, what: string): readonly string[] => {
  const [kitA, kitB, kitsA, kitsB] = state.contents.map(contentName);
  return [
    String(step),
    state.stage,
    `${kitA} ${kitB}`,
    `${kitsA} ${kitsB}`,
    keyNames(backlog(state)),
    who,
    what,
  ];
};

/** The shortest way to a breach, a line for each step, with what is committed after it. */
export const describeCounterexample = (
  { roles, defect }: Scenario,
  { breach, start, moves }: Counterexample<State>,
): string => {
  const head = [
    '',
    'stage',
    'kit: a b',
    'kits: a b',
    'backlog',
    'who',
    'does what  [still uncommitted]',
  ];
  const rows = [
    columnsOf(0, start, '', 'the start'),
    ...moves.map(({ actor, what, state }, index) =>
      columnsOf(
        index + 1,
        state,
        actorName(roles, actor),
        `${what}${uncommitted(actorAt(state, actor))}`,
      ),
    ),
  ];
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const writers = roles.flatMap((role, index) => {
    if (role !== 'writer') return [];
    const { program, repeatableRead } = actorAt(start, index);
    const level = repeatableRead ? 'repeatable read' : 'read committed';
    return [`${actorName(roles, index)} (${level}) ${PROGRAM_NAMES[program]}`];
  });
  return [
    `Defect: ${defect ?? 'none'}. Broken: ${breach.invariant}: ${breach.detail}.`,
    `Writers: ${writers.join(', ')}.`,
    ...[head, ...rows].map((row) => line(row, widths)),
  ].join('\n');
};
