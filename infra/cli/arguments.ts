import { InvalidArgumentError, Option } from 'commander';

/** A whole number within limits. */
export const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
    return value;
  };

/** How many are listed. */
export const limitOption = (most: number, usual: number): Option =>
  new Option('--limit <n>', 'as many at most').argParser(whole(1, most)).default(usual);

/** The confirmation of a script. */
export const yesOption = (kind: string): Option =>
  new Option('--yes <id>', `go on without asking: the ${kind} that this is about`);

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The id of a report or a batch. */
export const uuid = (text: string): string => {
  if (!UUID.test(text)) throw new InvalidArgumentError('give an id as it is shown: a UUID');
  return text.toLowerCase();
};

/** Examples, for the end of a command's help. */
export const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  $ npx kits ${line}`).join('\n')}`;
