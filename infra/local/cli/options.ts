import { Command, InvalidArgumentError, Option } from 'commander';

/** What the operator asks of one run. */
export interface StartOptions {
  /** Rows per source of a generated data set. */
  readonly rows: number;
  /** Seed of the generator and the writers. */
  readonly seedNumber: number;
  /** Undefined: 4 on data of ours, none on a database that is not. */
  readonly writers: number | undefined;
  /** Operations per second of each writer. */
  readonly rate: number;
  /** Checks, one a second, of each monitoring window. */
  readonly monitorChecks: number;
  readonly rollback: boolean;
  readonly blockers: boolean;
  readonly fresh: boolean;
  readonly json: boolean;
  /** Generate a data set in the given database. */
  readonly seed: boolean;
  /** The given database; undefined for the embedded one. */
  readonly databaseUrl: string | undefined;
  readonly mappingPath: string | undefined;
  /** Where the embedded database and a run's state are kept; undefined for a folder below the temporary one. */
  readonly dataDirectory: string | undefined;
}

const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
    return value;
  };

const program = () =>
  new Command('npm start --')
    .description(
      'Takes a legacy database through the whole cutover while writers keep writing to it, and shows that nothing was lost. Without DATABASE_URL it brings its own Postgres and data.',
    )
    .addOption(
      new Option('--rows <n>', 'rows per source of the generated data')
        .argParser(whole(100, 10_000_000))
        .default(100_000),
    )
    .addOption(
      new Option('--seed-number <n>', 'seed of the generator and the writers')
        .argParser(whole(0, 2_147_483))
        .default(1),
    )
    .addOption(
      new Option(
        '--writers <n>',
        'concurrent writers, clients of the API (default: 4 on generated data, 0 on a given database; they change kits)',
      ).argParser(whole(0, 32)),
    )
    .addOption(
      new Option('--rate <n>', 'operations per second of each writer')
        .argParser(whole(1, 1_000))
        .default(12),
    )
    .addOption(
      new Option(
        '--monitor <seconds>',
        'length of each monitoring window, in place of 24 to 48 hours',
      )
        .argParser(whole(1, 1_000))
        .default(5),
    )
    .option('--no-writers', 'nobody writes meanwhile')
    .option('--rollback', 'then roll it all back and prove the legacy state', false)
    .option('--blockers', 'plant every kind of blocker and show the NO-GO', false)
    .option('--seed', 'generate the data in the database that DATABASE_URL names', false)
    .option('--fresh', 'forget an unfinished run and begin anew (embedded database only)', false)
    .option('--json', 'print the closing figures as one JSON object on the last line', false)
    .option('--data-dir <path>', 'where the embedded database and the state of a run are kept')
    .addHelpText(
      'after',
      '\nEnvironment: DATABASE_URL (Postgres 15 to 18), KITS_MAPPING (a mapping file), NO_COLOR.\nCtrl-C at any moment: the same command goes on where it stopped.',
    );

/**
 * Reads the command line and the environment.
 *
 * @throws {InvalidArgumentError} or ends the process with a message, as commander does, when it is wrong.
 */
export const readOptions = (
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): StartOptions => {
  const command = program();
  const given = command.parse([...argv], { from: 'user' }).opts();
  const databaseUrl = environment.DATABASE_URL || undefined;
  const mappingPath = environment.KITS_MAPPING || undefined;
  if (given.seed && databaseUrl === undefined)
    command.error('error: --seed is for a database of yours: set DATABASE_URL');
  if (given.seed && mappingPath !== undefined)
    command.error(
      'error: --seed makes the reference schema, and KITS_MAPPING names another mapping: leave one of them out',
    );
  if (given.fresh && databaseUrl !== undefined)
    command.error(
      'error: --fresh would delete a database, and this one is yours: roll its batch back instead (--rollback)',
    );
  if (given.blockers && databaseUrl !== undefined && !given.seed)
    command.error('error: --blockers plants rows: on a database of yours it needs --seed as well');
  if (given.blockers && given.rollback)
    command.error('error: --blockers ends with a NO-GO, so there is nothing to roll back');
  return {
    rows: given.rows,
    seedNumber: given.seedNumber,
    writers: given.writers === false ? 0 : given.writers === true ? undefined : given.writers,
    rate: given.rate,
    monitorChecks: given.monitor,
    rollback: given.rollback,
    blockers: given.blockers,
    fresh: given.fresh,
    json: given.json,
    seed: given.seed,
    databaseUrl,
    mappingPath,
    dataDirectory: given.dataDir,
  };
};
