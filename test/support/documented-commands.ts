import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Each line of the shell blocks of a document, without its remark. */
const shellLines = (file: string): string[] =>
  [...readFileSync(join(ROOT, file), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)]
    .flatMap(([, block = '']) => block.replaceAll(/\\\n\s*/g, '').split('\n'))
    .map((line) => line.replace(/\s+#.*$/, '').trim())
    .filter((line) => line !== '');

/** What the documents tell people to type, each once. */
export const documentedCommands = (...files: readonly string[]): readonly string[] => [
  ...new Set(files.flatMap(shellLines)),
];

/** Options that a test adds so that nobody has to be asked, or waited for. */
const OF_TESTS = [
  '--yes',
  '--until',
  '--monitor-seconds',
  '--monitor-checks',
  '--limit',
  '--batch',
];
const SWITCHES_OF_TESTS = ['--wait', '--json'];
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const placeholder = (command: string): string[] =>
  command === 'approve' || command === 'cutover'
    ? ['<report>']
    : command === 'rollback'
      ? ['<batch>']
      : [];

/** What was typed as a document would show it: without a test's options, with placeholders for ids. */
export const asDocumented = (args: readonly string[]): readonly string[] => {
  const [command = ''] = args;
  const words: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at] ?? '';
    if (OF_TESTS.includes(word)) at += 1;
    else if (SWITCHES_OF_TESTS.includes(word)) continue;
    else if (word === '--html') {
      words.push(word, 'run.html');
      at += 1;
    } else words.push(...(UUID.test(word) ? placeholder(command) : [word]));
  }
  // Several flags set at once are as good as one after the other.
  const set = words.slice(0, 2).join(' ') === 'flags set';
  return set
    ? words.slice(2).map((flag) => `npx kits flags set ${flag}`)
    : [`npx kits ${words.join(' ')}`];
};
