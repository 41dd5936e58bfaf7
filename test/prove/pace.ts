import { setTimeout as sleep } from 'node:timers/promises';

/** How fast clients go, each with its own chance. */
export class Pace {
  readonly #pauseMs: number;
  #still: Promise<void> = Promise.resolve();

  /** @param pauseMs between two operations of a client, on average */
  constructor(pauseMs: number) {
    this.#pauseMs = pauseMs;
  }

  /** What a client waits for after an operation. */
  async pause(chance: number): Promise<void> {
    await sleep(this.#pauseMs * chance * 2);
    await this.#still;
  }

  /** No client begins another operation until then. */
  stillUntil(over: Promise<void>): void {
    this.#still = over;
  }
}
