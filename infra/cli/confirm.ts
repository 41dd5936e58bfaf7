import { createInterface } from 'node:readline/promises';
import type { Context } from './context.ts';
import { Interrupted, NotConfirmed } from './errors.ts';

export interface Confirmation {
  /** What will be done, line by line. */
  readonly plan: readonly string[];
  /** What `id` is: "batch", "report", "environment". */
  readonly kind: string;
  /** What the operator must type, or give by `--yes`. */
  readonly id: string;
  /** What was given by `--yes`. */
  readonly given: string | undefined;
}

/** @throws {Interrupted} when the operator leaves without an answer: Ctrl-C, or the end of the input. */
const ask = async ({ input, questions, interrupted }: Context, text: string): Promise<string> => {
  const left = new AbortController();
  const prompt = createInterface({ input, output: questions, terminal: input.isTTY === true });
  prompt.once('SIGINT', () => left.abort());
  prompt.once('close', () => left.abort());
  try {
    const signal = AbortSignal.any([left.signal, interrupted]);
    return (await prompt.question(text, { signal })).trim();
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'AbortError') throw error;
    throw new Interrupted('nothing was done');
  } finally {
    prompt.close();
  }
};

/**
 * Shows what will be done, and goes on only when the operator names what it will be done to.
 *
 * @throws {NotConfirmed} for another id, or where there is nobody to ask.
 * @throws {Interrupted} when the operator leaves without an answer.
 */
export const confirm = async (context: Context, asked: Confirmation): Promise<void> => {
  const { out, input } = context;
  const { plan, kind, id, given } = asked;
  for (const line of plan) out.remark(line);
  if (given === id) return;
  if (given !== undefined)
    throw new NotConfirmed(`--yes ${given} is not the ${kind} that this is about: ${id}`);
  if (input.isTTY !== true)
    throw new NotConfirmed(`nobody is here to ask: to go on, say --yes ${id}`);
  const typed = await ask(context, `Type the ${kind} ${id} to go on: `);
  if (typed !== id) throw new NotConfirmed(`"${typed}" is not ${id}: nothing was done`);
};
