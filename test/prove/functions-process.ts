import { type ChildProcess, fork } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FunctionError } from '../../infra/local/aws/functions.ts';
import type { VariantName } from './broken.ts';
import type { FunctionName, ToChild, ToParent } from './function-calls.ts';

const CHILD = fileURLToPath(new URL('./functions-child.ts', import.meta.url));
/** Compiled once: measured, a process is ready in a quarter of the time. */
const COMPILED = join(tmpdir(), `kits-prove-compiled-${process.getuid?.() ?? 0}`);

interface Pending {
  resolve(result: string): void;
  reject(error: Error): void;
}

/** One call of a function, as a run makes it. */
export interface FunctionCall {
  readonly name: FunctionName;
  /** JSON. */
  readonly event: string;
  readonly seconds: number;
  readonly variables: Readonly<Record<string, string>>;
  readonly log: string;
}

class Child {
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  readonly #onRewritten: (count: number) => void;
  #last = 0;

  constructor(onRewritten: (count: number) => void) {
    this.#onRewritten = onRewritten;
    this.#process = fork(CHILD, {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_COMPILE_CACHE: COMPILED },
    });
    const ready = Promise.withResolvers<void>();
    this.ready = ready.promise;
    this.#process.on('message', (message: ToParent) => {
      if (message.id === 0) ready.resolve();
      else this.#settle(message);
    });
    this.ended = new Promise((resolve) => {
      this.#process.once('exit', () => {
        resolve();
        for (const { reject } of this.#pending.values())
          reject(new FunctionError('Lambda.Unknown', 'the process of the function was killed'));
        this.#pending.clear();
      });
    });
  }

  #settle({ id, result, error, rewritten }: ToParent): void {
    this.#onRewritten(rewritten);
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result ?? 'null');
    else pending?.reject(asThrown(error));
  }

  tell(message: ToChild): void {
    // What does not reach a process that has just died is answered by its end.
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  call(what: FunctionCall): Promise<string> {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      if (this.#process.exitCode !== null || !this.#process.connected)
        reject(new FunctionError('Lambda.Unknown', 'the process of the function is gone'));
      else this.tell({ do: 'call', id, ...what });
    });
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  get busy(): boolean {
    return this.#pending.size > 0;
  }
}

/** What the function's own runtime said, for whoever called it. */
const asThrown = ({
  name,
  message,
}: {
  readonly name: string;
  readonly message: string;
}): Error => {
  try {
    const { errorMessage, trace } = JSON.parse(message);
    return new FunctionError(name, String(errorMessage), trace);
  } catch (error) {
    if (error instanceof SyntaxError) return new FunctionError(name, message);
    throw error;
  }
};

/** A process that runs functions; when it is killed the next one starts, and calls wait for it. */
export class FunctionsProcess {
  /** Statements that a broken variant has changed since it was broken. */
  rewritten = 0;
  #child: Child;
  #variant: VariantName | undefined;

  private constructor() {
    this.#child = this.#start();
  }

  static async open(): Promise<FunctionsProcess> {
    const functions = new FunctionsProcess();
    await functions.#child.ready;
    return functions;
  }

  #start(): Child {
    const child = new Child((count) => {
      this.rewritten += count;
    });
    child.tell({ do: 'break', variant: this.#variant });
    return child;
  }

  async call(what: FunctionCall): Promise<string> {
    for (;;) {
      const child = this.#child;
      // One that is killed before it is ready has been followed by another.
      await Promise.race([child.ready, child.ended]);
      if (child === this.#child) return child.call(what);
    }
  }

  /** Ends it as a machine ends that loses its power. */
  kill(): void {
    this.#child.kill();
    this.#child = this.#start();
  }

  /** Makes the clock that its functions see jump, to so far from the right time. */
  jump(offsetMs: number): void {
    this.#child.tell({ do: 'clock', offsetMs });
  }

  /** Breaks it, and those that follow it. */
  break(variant: VariantName | undefined): void {
    this.#variant = variant;
    this.rewritten = 0;
    this.#child.tell({ do: 'break', variant });
  }

  /** Lets go of databases. */
  forget(urls: readonly string[]): void {
    this.#child.tell({ do: 'close', urls });
  }

  /** Whether a call is under way. */
  get busy(): boolean {
    return this.#child.busy;
  }

  async close(): Promise<void> {
    this.#child.kill();
    await this.#child.ended;
  }
}
