/** What must be undone when the process ends, the last first, however it ends. */
export class Cleanup {
  readonly #tasks: (() => Promise<unknown>)[] = [];
  #running: Promise<void> | undefined;

  add(task: () => Promise<unknown>): void {
    this.#tasks.push(task);
  }

  /** Does it all, once; a task that fails does not keep the others from theirs, and its error is thrown last. */
  run(): Promise<void> {
    this.#running ??= (async () => {
      const faults: unknown[] = [];
      for (const task of this.#tasks.toReversed())
        await task().catch((error: unknown) => faults.push(error));
      if (faults.length > 0) throw faults[0];
    })();
    return this.#running;
  }
}
