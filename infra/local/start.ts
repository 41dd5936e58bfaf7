import { pathToFileURL } from 'node:url';
import { Cleanup } from './cli/cleanup.ts';
import { readOptions } from './cli/options.ts';
import { run } from './cli/run.ts';
import { openScreen } from './cli/screen.ts';

/** As a shell says of a process that ended by SIGINT. */
const INTERRUPTED = 130;

const describe = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);

/** `npm start`: reads the command line, runs, and answers with the exit code. */
const main = async (): Promise<number> => {
  const options = readOptions(process.argv.slice(2), process.env);
  const screen = openScreen(process.stdout);
  const cleanup = new Cleanup();
  const { promise: interrupted, resolve: interrupt } = Promise.withResolvers<'interrupted'>();
  const onSignal = () => {
    // Again: the operator will not wait. A kill at any moment is safe, too.
    process.once('SIGINT', () => process.exit(INTERRUPTED));
    screen.line('stopping; the same command goes on from here');
    interrupt('interrupted');
  };
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    const working = run(options, screen, cleanup);
    // What an interruption leaves behind fails against closed connections: nobody waits for it then.
    working.catch(() => undefined);
    const outcome = await Promise.race([working, interrupted]);
    await cleanup.run();
    if (outcome === 'interrupted') return INTERRUPTED;
    if (options.json) process.stdout.write(`${JSON.stringify(outcome.json)}\n`);
    return outcome.good ? 0 : 1;
  } catch (error) {
    screen.line();
    process.stderr.write(`${describe(error)}\n`);
    await cleanup.run().catch((fault: unknown) => process.stderr.write(`${describe(fault)}\n`));
    if (options.json)
      process.stdout.write(
        `${JSON.stringify({ error: { name: error instanceof Error ? error.name : 'Error', message: error instanceof Error ? error.message : String(error) } })}\n`,
      );
    return 1;
  }
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exit(await main());
