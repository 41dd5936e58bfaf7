import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { knownError, RUNBOOK_HEADINGS, toldOf } from '../../infra/cli/describe-error.ts';
import { NoSystem, RemoteError } from '../../infra/cli/errors.ts';
import { EXIT, exitCodeOf } from '../../infra/cli/exit-codes.ts';
import { kitsProgram } from '../../infra/cli/program.ts';

/** What a command line asks for, and what is said about one that is wrong. */
const read = async (...argv: string[]) => {
  let ran = 0;
  const said: string[] = [];
  const program = kitsProgram(async () => {
    ran += 1;
  });
  for (const command of [program, ...program.commands.flatMap((one) => [one, ...one.commands])])
    command.exitOverride().configureOutput({
      writeErr: (text) => said.push(text),
      writeOut: (text) => said.push(text),
    });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return { ran, code: EXIT.done, said: '' };
  } catch (error) {
    return {
      ran,
      code: exitCodeOf(error),
      said: error instanceof CommanderError ? said.join('') : String(error),
    };
  }
};
const ID = '3c9f5b0e-0000-4000-8000-000000000001';

describe('a command line', () => {
  it.each([
    [['status', '--watch']],
    [['--json', 'batches', '--limit', '3']],
    [['batches', '--json']],
    [['report']],
    [['report', ID, '--html', 'x.html']],
    [['cutover', ID, '--until', 'unified', '--no-dual-write', '--yes', ID]],
    [['rollback', ID.toUpperCase()]],
    [['flags', 'set', 'shadow-reads=100', 'unified-reads=false']],
    [['jobs', 'redrive', 'one', 'two']],
  ])('%j is understood', async (argv) => {
    expect(await read(...argv)).toEqual({ ran: 1, code: 0, said: '' });
  });

  it.each<[string[], RegExp]>([
    [['rollback'], /missing required argument 'batch'/],
    [['rollback', 'it'], /'it' is invalid.*give an id as it is shown: a UUID/],
    [['cutover', '--until', 'legacy'], /Allowed choices are mirrored, dual-write, unified, closed/],
    [['cutover', '--lanes', '17'], /give a whole number from 1 to 16/],
    [['events', '--limit', '0'], /give a whole number from 1 to 1000/],
    [['flags', 'set'], /missing required argument/],
    [['flags', 'set', 'shadow-reads'], /"shadow-reads" is no <flag>=<value>; the flags are/],
    [['flags', 'set', 'shadow-reads=101'], /flag "shadow-reads" is "101"; it must match/],
    [['jobs', 'redrive', 'one', '--all'], /say which dead letters are put back/],
    [['statos'], /unknown command 'statos'\n\(Did you mean status\?\)/],
    [['status', '--local', '--aws'], /cannot be used with option '--aws'/],
  ])('%j is refused, and nothing is begun', async (argv, why) => {
    const { ran, code, said } = await read(...argv);
    expect([ran, code]).toEqual([0, EXIT.usage]);
    expect(said).toMatch(why);
  });

  it('each command has help with an example, and the whole has the exit codes', async () => {
    const program = kitsProgram(async () => {});
    const all = program.commands.flatMap((one) => (one.commands.length > 0 ? one.commands : [one]));
    for (const command of all) {
      if (['completion', 'complete'].includes(command.name())) continue;
      const parents = command.parent === program ? [] : [command.parent?.name() ?? ''];
      const { code, said } = await read(...parents, command.name(), '--help');
      expect([command.name(), code]).toEqual([command.name(), 0]);
      expect(said).toContain('\n  $ npx kits ');
      expect(said).toContain('--json');
    }
    expect((await read('--help')).said).toMatch(/Exit codes:[\s\S]*\n {2}6 /);
  });
});

describe('an error', () => {
  it('leads to a heading that the runbook has', () => {
    const runbook = readFileSync(new URL('../../RUNBOOK.md', import.meta.url), 'utf8');
    for (const heading of RUNBOOK_HEADINGS) expect(runbook).toContain(`\n### ${heading}\n`);
  });

  it('says where to read on, where there is such a place', () => {
    expect(toldOf(new RemoteError('FlipBlocked', 'held'))).toEqual({
      name: 'FlipBlocked',
      message: 'held',
      next: 'see RUNBOOK.md#flipblocked',
    });
    expect(toldOf(new Error('x'))).toEqual({ name: 'Error', message: 'x' });
  });

  it('of the way to the system is told from one of the system itself', () => {
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
    const denied = Object.assign(new Error('no'), { name: 'AccessDeniedException' });
    expect([knownError(refused), knownError(denied)].map(exitCodeOf)).toEqual([5, 5]);
    expect(knownError(denied)).toBeInstanceOf(NoSystem);
    expect(exitCodeOf(knownError(new RemoteError('NoGo', 'x')))).toBe(EXIT.refused);
    expect(exitCodeOf(knownError(new RemoteError('DatabaseUnwell', 'x')))).toBe(EXIT.tryAgain);
    expect(exitCodeOf(knownError('thrown'))).toBe(EXIT.failed);
  });
});
