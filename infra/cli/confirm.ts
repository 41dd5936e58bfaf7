import { createInterface } from 'node:readline/promises';
import type { Context } from './context.ts';
import { NotConfirmed } from './errors.ts';

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

/**
 * Shows what will be done, and goes on only when the operator names what it will be done to.
 *
 * @throws {NotConfirmed} for another id, or where there is nobody to ask.
 */
export const confirm = async ({ out, input }: Context, asked: Confirmation): Promise<void> => {
  const { plan, kind, id, given } = asked;
  for (const line of plan) out.remark(line);
  if (given === id) return;
  if (given !== undefined)
    throw new NotConfirmed(`--yes ${given} is not the ${kind} that this is about: ${id}`);
  if (input.isTTY !== true)
    throw new NotConfirmed(`nobody is here to ask: to go on, say --yes ${id}`);
  // Questions go where remarks go: what a script reads stays clean.
  const prompt = createInterface({ input, output: process.stderr });
  try {
    const answer = (await prompt.question(`Type the ${kind} id ${id} to go on: `)).trim();
    if (answer !== id) throw new NotConfirmed(`"${answer}" is not ${id}`);
  } finally {
    prompt.close();
  }
};
