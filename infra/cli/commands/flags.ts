import { setTimeout as sleep } from 'node:timers/promises';
import type { MigrationStanding } from '@unified-kits/data';
import {
  FLAG_NAMES,
  FLAG_PARAMETERS,
  type FlagName,
  type Flags,
  formatFlag,
  parseFlag,
  type Stage,
} from '@unified-kits/domain';
import { Argument, Command } from 'commander';
import { judgeWish, type Verdict } from '../../../functions/runtime/judge-wish.ts';
import { examples, yesOption } from '../arguments.ts';
import { confirm } from '../confirm.ts';
import { answer, type Context, type Run } from '../context.ts';
import { NotYet, Refused, UsageError } from '../errors.ts';
import { readStanding } from '../executions.ts';
import { table } from '../table.ts';
import { flagTexts } from './status.ts';

const PARAMETERS = FLAG_NAMES.map((name) => FLAG_PARAMETERS[name].parameter);
const STORE_FLAGS = ['unifiedReads', 'unifiedWrites', 'dualWrite'] as const;

const isStoreFlag = (name: FlagName): boolean => STORE_FLAGS.some((flag) => flag === name);

const get = async (context: Context): Promise<undefined> => {
  const texts = flagTexts(await (await context.remote.flags()).read());
  answer(context, texts, () => table(['FLAG', 'VALUE'], Object.entries(texts)));
};

/** @throws {UsageError} naming what is no flag, or no value of one. */
const parseChanges = (given: readonly string[]): Partial<Flags> =>
  Object.fromEntries(
    given.map((text) => {
      const [parameter = '', value] = text.split('=', 2);
      const name = FLAG_NAMES.find((flag) => FLAG_PARAMETERS[flag].parameter === parameter);
      if (name === undefined || value === undefined)
        throw new UsageError(
          `"${text}" is no <flag>=<value>; the flags are ${PARAMETERS.join(', ')}`,
        );
      return [name, parseFlag(name, value)];
    }),
  );

const changed = (before: Flags, after: Flags): FlagName[] =>
  FLAG_NAMES.filter((name) => before[name] !== after[name]);

const describe = (before: Flags, after: Flags, name: FlagName): string =>
  `${FLAG_PARAMETERS[name].parameter}: ${formatFlag(name, before[name])} -> ${formatFlag(name, after[name])}`;

interface Wish {
  readonly before: Flags;
  readonly after: Flags;
  readonly changes: readonly FlagName[];
  readonly standing: MigrationStanding | undefined;
  readonly verdict: Verdict;
}

/** What the flags would ask for, judged as `flag-changed` will judge it. */
const wishOf = async (context: Context, changes: Partial<Flags>): Promise<Wish> => {
  const [before, standing] = await Promise.all([
    context.remote.flags().then((store) => store.read()),
    readStanding(context),
  ]);
  const after = { ...before, ...changes };
  const verdict = judgeWish(after, {
    stage: standing?.stage ?? 'legacy',
    parityExact: standing?.parityExact ?? false,
    failedKeys: standing?.backlog.failed ?? 0,
  });
  return { before, after, changes: changed(before, after), standing, verdict };
};

/** Whether clients will be read from, or written to, another store; or a migration stopped. */
const isWeighty = ({ changes, standing }: Wish): boolean =>
  changes.some(isStoreFlag) ||
  (changes.includes('migrationInProgress') && standing?.batch?.endedAt === null);

const planOf = ({ remote }: Context, { before, after, changes, standing, verdict }: Wish) => {
  const stage = standing?.stage ?? 'legacy';
  return [
    `Sets flags in ${remote.place.description}:`,
    ...changes.map((name) => `  ${describe(before, after, name)}`),
    verdict.kind === 'step'
      ? `flag-changed then flips from stage "${stage}" by way of "${verdict.to}"; writers wait for some milliseconds.`
      : `Stage "${stage}" stays.`,
  ];
};

/** How long the flip is waited for, in milliseconds: flag-changed also runs once a minute. */
const LONGEST_WAIT_MS = 90_000;

interface Effect {
  readonly stage: Stage;
  readonly flags: Flags;
}

/**
 * Waits until flags and stage agree.
 *
 * @throws {Refused} when a flag was put back, with the reason.
 * @throws {NotYet} when they do not agree in time: the wish stands.
 */
const awaitEffect = async (context: Context, { after, changes }: Wish): Promise<Effect> => {
  const { interrupted } = context;
  const switched = changes.filter(isStoreFlag);
  const until = Date.now() + LONGEST_WAIT_MS;
  const wait = context.remote.place.kind === 'local' ? 100 : 3_000;
  for (;;) {
    const now = await wishOf(context, {});
    const stage = now.standing?.stage ?? 'legacy';
    // Only those that were set here: others may be somebody else's, at the same time.
    if (switched.some((name) => now.before[name] !== after[name])) {
      const { events } = await context.remote.invoke<{
        events: readonly { action: string; detail: { reason?: string } }[];
      }>('operations', { action: 'events', limit: 20 });
      const back = events.find(({ action }) => action.startsWith('flag-put-back'));
      throw new Refused(`put back: ${back?.detail.reason ?? 'kits events says why'}`);
    }
    if (now.verdict.kind === 'holds' || !changes.some(isStoreFlag))
      return { stage, flags: now.before };
    if (Date.now() > until || interrupted.aborted)
      throw new NotYet(
        `the flags are set, and stage "${stage}" still holds: flag-changed tries each minute; kits events and kits doctor say more`,
      );
    await sleep(wait, undefined, { signal: interrupted }).catch(() => undefined);
  }
};

const set = async (
  context: Context,
  changes: Partial<Flags>,
  given: string | undefined,
): Promise<undefined> => {
  const wish = await wishOf(context, changes);
  const { verdict, standing } = wish;
  if (wish.changes.length === 0) {
    answer(context, flagTexts(wish.before), () => ['nothing to change: they are set like that']);
    return;
  }
  if (isWeighty(wish)) {
    if (verdict.kind === 'put-back') throw new Refused(`it would be put back: ${verdict.reason}`);
    const batch = standing?.batch;
    await confirm(context, {
      plan: planOf(context, wish),
      ...(batch == null
        ? { kind: 'environment', id: context.remote.place.environment }
        : { kind: 'batch', id: batch.id }),
      given,
    });
  }
  await (await context.remote.flags()).write(changes);
  const effect = await awaitEffect(context, wish);
  answer(context, { stage: effect.stage, flags: flagTexts(effect.flags) }, () => [
    ...wish.changes.map((name) => describe(wish.before, wish.after, name)),
    `effective: stage "${effect.stage}"`,
  ]);
};

/** `kits flags`: the operator's wish. */
export const flagsCommand = (run: Run): Command => {
  const flags = new Command('flags').description('the flags: the operator’s wish');
  flags
    .command('get')
    .description('shows them all')
    .addHelpText('after', examples('flags get', 'flags get --json'))
    .action(() => run(get));
  flags
    .command('set')
    .description('sets some, and waits until they are effective or put back')
    .addArgument(new Argument('<flag=value...>', PARAMETERS.join(', ')))
    .addOption(yesOption('batch'))
    .addHelpText(
      'after',
      examples(
        'flags set copy-rows-per-second=2000',
        'flags set shadow-reads=10',
        'flags set unified-reads=true',
        'flags set unified-writes=false dual-write=false --yes 77c0…',
      ),
    )
    .action((given: string[], { yes }: { yes?: string }) => {
      const changes = parseChanges(given);
      return run((context) => set(context, changes, yes));
    });
  return flags;
};
