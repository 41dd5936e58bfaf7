import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type Confirmation, confirm } from '../../infra/cli/confirm.ts';
import type { Context } from '../../infra/cli/context.ts';
import { remoteAt } from '../../infra/cli/remote.ts';

const ASKED: Confirmation = { plan: ['Deletes it.'], kind: 'batch', id: 'b-1', given: undefined };

/** An operator at a terminal, or a script without one. */
const operator = (terminal: boolean) => {
  const input = Object.assign(new PassThrough(), { isTTY: terminal, setRawMode: () => input });
  const questions = new PassThrough();
  const remarks: string[] = [];
  const controller = new AbortController();
  const context: Context = {
    out: {
      width: 80,
      live: terminal,
      colour: false,
      line: () => {},
      remark: (text) => remarks.push(text),
      raw: () => {},
      style: (_format, text) => text,
    },
    input: input as unknown as NodeJS.ReadStream,
    questions,
    json: false,
    actor: 'operator',
    remote: remoteAt({
      kind: 'local',
      environment: 'test',
      description: 'nowhere',
      client: {},
      stateMachineArns: { cutover: '', rollback: '' },
    }),
    interrupted: controller.signal,
  };
  return { context, input, remarks, interrupt: () => controller.abort() };
};

describe('a confirmation', () => {
  it('shows the plan, then takes the id that it is about and no other', async () => {
    const { context, input, remarks } = operator(true);
    const right = confirm(context, ASKED);
    input.write('b-1\n');
    await expect(right).resolves.toBeUndefined();
    expect(remarks).toEqual(['Deletes it.']);
    const wrong = operator(true);
    const refused = confirm(wrong.context, ASKED);
    wrong.input.write('yes\n');
    await expect(refused).rejects.toThrow('"yes" is not b-1: nothing was done');
  });

  it('of a script is the id itself', async () => {
    const { context } = operator(false);
    await expect(confirm(context, { ...ASKED, given: 'b-1' })).resolves.toBeUndefined();
    await expect(confirm(context, { ...ASKED, given: 'b-2' })).rejects.toThrow(/not the batch/);
    await expect(confirm(context, ASKED)).rejects.toThrow('to go on, say --yes b-1');
  });

  it.each<[string, (who: ReturnType<typeof operator>) => void]>([
    ['Ctrl-C at the prompt', ({ input }) => input.write('\u0003')],
    ['the end of the input', ({ input }) => input.end()],
    ['a signal', ({ interrupt }) => interrupt()],
  ])('ends with nothing done at %s', async (_how, leave) => {
    const who = operator(true);
    const left = confirm(who.context, ASKED);
    leave(who);
    await expect(left).rejects.toMatchObject({ name: 'Interrupted', message: 'nothing was done' });
  });
});
