import { CommanderError } from 'commander';
import type { Context, Run } from './context.ts';
import { knownError, toldOf } from './describe-error.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { openOutput } from './output.ts';
import { findPlace } from './place/find-place.ts';
import { type GlobalOptions, kitsProgram } from './program.ts';
import { remoteAt } from './remote.ts';

/** Aborts at the first interruption; at the second the process ends, as a shell expects. */
const interruption = (): AbortSignal => {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return controller.signal;
};

/** Reads the command line, does what it asks for, and answers with the exit code. */
export const main = async (argv: readonly string[]): Promise<number> => {
  const out = openOutput(process.stdout, process.stderr, process.env);
  // Whoever reads may have seen enough (`kits events | head`).
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(EXIT.done);
  });
  let code: number = EXIT.done;
  const run: Run = async (work) => {
    const options = program.opts<GlobalOptions>();
    const place = await findPlace({
      environment: options.environment,
      kind: options.local === true ? 'local' : options.aws === true ? 'aws' : undefined,
      dataDirectory: options.dataDir,
    });
    const remote = remoteAt(place);
    const context: Context = {
      out,
      input: process.stdin,
      questions: process.stderr,
      json: options.json === true,
      actor: options.actor,
      remote,
      interrupted: interruption(),
    };
    try {
      code = (await work(context)) ?? EXIT.done;
    } finally {
      remote.close();
    }
  };
  const program = kitsProgram(run);
  for (const command of [
    program,
    ...program.commands,
    ...program.commands.flatMap((one) => one.commands),
  ])
    command.exitOverride();
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return code;
  } catch (error) {
    // Commander has said it already.
    if (error instanceof CommanderError) return exitCodeOf(error);
    const known = knownError(error);
    const told = toldOf(known);
    if (program.opts<GlobalOptions>().json === true)
      out.line(JSON.stringify({ error: told }, null, 2));
    out.remark(out.style('red', `${told.name}: ${told.message}`));
    if (told.next !== undefined) out.remark(`next: ${told.next}`);
    return exitCodeOf(known);
  }
};
