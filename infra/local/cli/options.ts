import { Command, InvalidArgumentError, Option } from 'commander';

/** Which database, and where the state of a run is kept. */
export interface TargetOptions {
  /** The given database; undefined for the embedded one. */
  readonly databaseUrl: string | undefined;
  readonly mappingPath: string | undefined;
  /** Where the embedded database and a run's state are kept; undefined for a folder below the temporary one. */
  readonly dataDirectory: string | undefined;
}

/** What the operator asks of one run. */
export interface StartOptions extends TargetOptions {
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
}

/** What the operator asks of a system that stays up. */
export interface ServeOptions extends TargetOptions {
  /** Of the API. */
  readonly port: number;
  /** Of the local AWS. */
  readonly awsPort: number;
  /** Rows per source of a generated data set. */
  readonly rows: number;
  readonly fresh: boolean;
}

/** The command line, understood. */
export type Asked =
  | { readonly command: 'run'; readonly options: StartOptions }
  | { readonly command: 'serve'; readonly options: ServeOptions };

const whole =
  (least: number, most: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most)
      throw new InvalidArgumentError(`give a whole number from ${least} to ${most}`);
    return value;
  };

const rowsOption = (rows: number) =>
  new Option('--rows <n>', 'rows per source of the generated data')
    .argParser(whole(100, 10_000_000))
    .default(rows);
const portOption = (flag: string, what: string) =>
  new Option(`${flag} <n>`, what).argParser(whole(1, 65_535));
const DATA_DIR = [
  '--data-dir <path>',
  'where the embedded database and the state of a run are kept',
] as const;

const API_PORT = 8787;
const ENVIRONMENT = `
Environment: DATABASE_URL (Postgres 15 to 18), KITS_MAPPING (a mapping file), NO_COLOR.`;

const program = () =>
  new Command('npm start --')
    .enablePositionalOptions()
    .description(
      'Takes a legacy database through the whole cutover while clients keep using its API, and shows that nothing was lost. Without DATABASE_URL it brings its own Postgres and data.',
    )
    .addOption(rowsOption(100_000))
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
    .option('--rollback', 'then roll it all back and prove the legacy state')
    .option('--blockers', 'plant every kind of blocker and show the NO-GO')
    .option('--seed', 'generate the data in the database that DATABASE_URL names')
    .option('--fresh', 'forget an unfinished run and begin anew (embedded database only)')
    .option('--json', 'print the closing figures as one JSON object on the last line')
    .option(...DATA_DIR)
    .addHelpText(
      'after',
      `${ENVIRONMENT}\nCtrl-C at any moment: the same command goes on where it stopped.`,
    );

const serveCommand = () =>
  new Command('serve')
    .description('keeps the system up, for you to use its API and to operate its cutover')
    .addOption(portOption('--port', 'of the API').default(API_PORT))
    .addOption(portOption('--aws-port', 'of SSM, Step Functions and Lambda (default: the next)'))
    .addOption(rowsOption(10_000))
    .option('--fresh', 'generate new data, and forget flags (embedded database only)')
    .option(...DATA_DIR)
    .addHelpText(
      'after',
      `${ENVIRONMENT}\nCtrl-C ends it. Data, flags and the key of its tokens are kept for the next time.`,
    );

const environmentOf = (environment: NodeJS.ProcessEnv) => ({
  databaseUrl: environment.DATABASE_URL || undefined,
  mappingPath: environment.KITS_MAPPING || undefined,
});

const readRun = (command: Command, environment: NodeJS.ProcessEnv): StartOptions => {
  const given = command.opts();
  const { databaseUrl, mappingPath } = environmentOf(environment);
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
    rollback: given.rollback === true,
    blockers: given.blockers === true,
    fresh: given.fresh === true,
    json: given.json === true,
    seed: given.seed === true,
    databaseUrl,
    mappingPath,
    dataDirectory: given.dataDir,
  };
};

const readServe = (
  run: Command,
  command: Command,
  environment: NodeJS.ProcessEnv,
): ServeOptions => {
  const given = command.opts();
  const { databaseUrl, mappingPath } = environmentOf(environment);
  for (const option of run.options) {
    const name = option.attributeName();
    if (name !== 'dataDir' && run.getOptionValueSource(name) === 'cli')
      command.error(
        `error: ${option.flags} stands before "serve": write what serve knows after it`,
      );
  }
  if (given.fresh && databaseUrl !== undefined)
    command.error('error: --fresh would delete a database, and this one is yours');
  const awsPort: number = given.awsPort ?? given.port + 1;
  if (awsPort === given.port || awsPort > 65_535)
    command.error(`error: --aws-port: ${awsPort} will not do, give another port`);
  return {
    port: given.port,
    awsPort,
    rows: given.rows,
    fresh: given.fresh === true,
    databaseUrl,
    mappingPath,
    dataDirectory: given.dataDir ?? run.opts().dataDir,
  };
};

/**
 * Reads the command line and the environment. Ends the process with a message, as commander does, when it is
 * wrong.
 */
export const readCommandLine = (argv: readonly string[], environment: NodeJS.ProcessEnv): Asked => {
  const run = program();
  const serve = serveCommand();
  const asked: Asked[] = [];
  run.action(() => {
    asked.push({ command: 'run', options: readRun(run, environment) });
  });
  serve.action(() => {
    asked.push({ command: 'serve', options: readServe(run, serve, environment) });
  });
  run.addCommand(serve).parse([...argv], { from: 'user' });
  const [only] = asked;
  // Commander has either run one of the two or ended the process.
  if (only === undefined) throw new TypeError('the command line asks for nothing');
  return only;
};
