import { userInfo } from 'node:os';
import tab from '@bomb.sh/tab/commander';
import { Command, Option } from 'commander';
import { examples } from './arguments.ts';
import { cutoverCommand } from './commands/cutover.ts';
import { doctorCommand } from './commands/doctor.ts';
import { flagsCommand } from './commands/flags.ts';
import { jobsCommand } from './commands/jobs.ts';
import { batchesCommand, eventsCommand } from './commands/lists.ts';
import { analyseCommand, approveCommand, reportCommand } from './commands/reports.ts';
import { rollbackCommand } from './commands/rollback.ts';
import { statusCommand } from './commands/status.ts';
import { pauseCommand, resumeCommand } from './commands/workers.ts';
import type { Run } from './context.ts';
import { EXIT_CODES_HELP } from './exit-codes.ts';

/** What stands with every command. */
export interface GlobalOptions {
  readonly json?: true;
  readonly environment?: string;
  readonly local?: true;
  readonly aws?: true;
  readonly dataDir?: string;
  readonly actor: string;
}

const ENVIRONMENT_HELP = `
Environment: KITS_ENVIRONMENT, KITS_ACTOR, NO_COLOR, and what the AWS SDK reads (AWS_REGION, AWS_PROFILE …).
A local system that is up (npm start -- serve) is taken unless another environment is named.`;

const COMMANDS = [
  analyseCommand,
  reportCommand,
  approveCommand,
  cutoverCommand,
  rollbackCommand,
  statusCommand,
  flagsCommand,
  batchesCommand,
  eventsCommand,
  pauseCommand,
  resumeCommand,
  jobsCommand,
  doctorCommand,
];

/** The whole command line. `run` is called by the command that is asked for. */
export const kitsProgram = (run: Run): Command => {
  const program = new Command('kits')
    .description('Operates the migration of kit and practitioner_kits into kits.')
    .option('--json', 'one JSON value in the place of text')
    .addOption(new Option('-e, --environment <name>', 'which system').env('KITS_ENVIRONMENT'))
    .addOption(new Option('--local', 'the system on this machine').conflicts('aws'))
    .option('--aws', 'the system on AWS')
    .option('--data-dir <path>', 'where the local system keeps its state')
    .addOption(
      new Option('--actor <name>', 'who is written into the audit log')
        .env('KITS_ACTOR')
        .default(userInfo().username),
    )
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError()
    .addHelpText('after', `${examples('status', 'analyse', 'doctor')}\n${EXIT_CODES_HELP}`)
    .addHelpText('after', ENVIRONMENT_HELP);
  for (const command of COMMANDS) {
    const made = command(run);
    for (const one of [made, ...made.commands]) one.copyInheritedSettings(program);
    program.addCommand(made);
  }
  tab(program, { completionCommandName: 'completion' });
  return program;
};
