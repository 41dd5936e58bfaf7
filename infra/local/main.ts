import pg from 'pg';
import { Cleanup } from './cli/cleanup.ts';
import { type Asked, readCommandLine } from './cli/options.ts';
import { type RunResult, run } from './cli/run.ts';
import { openScreen, type Screen } from './cli/screen.ts';
import { serve } from './cli/serve.ts';

/** As a shell says of a process that ended by SIGINT. */
const INTERRUPTED = 130;
const SAME_SIGNAL_MS = 1_000;

/** What an operator is told of an error; the server's own carry a SQLSTATE for a name. */
const told = (error: unknown): { readonly name: string; readonly message: string } =>
  error instanceof pg.DatabaseError
    ? { name: `Postgres ${error.code ?? ''}`, message: error.message }
    : error instanceof Error
      ? { name: error.name, message: error.message }
      : { name: 'Error', message: String(error) };

const describe = (error: unknown): string => {
  const { name, message } = told(error);
  return `${name}: ${message}`;
};

const carryOut = (asked: Asked, screen: Screen, cleanup: Cleanup): Promise<RunResult> =>
  asked.command === 'run'
    ? run(asked.options, screen, cleanup)
    : serve(asked.options, screen, cleanup);

/** `npm start`: reads the command line, does what it asks for, and answers with the exit code. */
export const main = async (): Promise<number> => {
  const asked = readCommandLine(process.argv.slice(2), process.env);
  const json = asked.command === 'run' && asked.options.json;
  const screen = openScreen(process.stdout);
  const cleanup = new Cleanup();
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<'interrupted'>();
  let interruptedAt: number | undefined;
  const onSignal = () => {
    if (interruptedAt === undefined) {
      interruptedAt = Date.now();
      screen.line('stopping; the same command goes on from here');
      interrupt('interrupted');
      return;
    }
    // Again: the operator will not wait, and a kill at any moment is safe. npm passes on a signal that
    // the terminal has sent already, so the second one of a pair does not count.
    if (Date.now() - interruptedAt > SAME_SIGNAL_MS) process.exit(INTERRUPTED);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    const working = carryOut(asked, screen, cleanup);
    // What an interruption leaves behind fails against closed connections: nobody waits for it then.
    working.catch(() => undefined);
    const outcome = await Promise.race([working, interrupted]);
    await cleanup.run();
    // A system that stays up until it is told to end has ended well.
    if (outcome === 'interrupted') return asked.command === 'serve' ? 0 : INTERRUPTED;
    if (json) process.stdout.write(`${JSON.stringify(outcome.json)}\n`);
    return outcome.good ? 0 : 1;
  } catch (error) {
    screen.line();
    process.stderr.write(`${describe(error)}\n`);
    await cleanup.run().catch((fault: unknown) => process.stderr.write(`${describe(fault)}\n`));
    if (json) process.stdout.write(`${JSON.stringify({ error: told(error) })}\n`);
    return 1;
  }
};
