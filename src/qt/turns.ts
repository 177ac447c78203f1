/**
 * Tasks of one object that wait for something of Qt's. Nobody rings for that (the semaphore is the kernel's, and a Qt program
 * knows nothing of bells), so the first in the queue asks every few milliseconds; the others wait for their turn.
 *
 * @module
 */

import { poll, type Wait } from "../wait.ts";

/** ms between two looks, on average. */
const INTERVAL = 2;

/** The tasks of one object. */
export class Turns {
  readonly #attempt: () => boolean | undefined;
  readonly #queue: { again: () => void }[] = [];

  /** @param attempt Takes it: `true`; `undefined`: it is not to be had now; `false`: an error. */
  constructor(attempt: () => boolean | undefined) {
    this.#attempt = attempt;
  }

  /** Does nobody wait? */
  get isEmpty(): boolean {
    return this.#queue.length === 0;
  }

  /** Gives what `attempt` gives, or `undefined` when time is up; rejects with the signal's reason. */
  async wait(wait: Wait): Promise<boolean | undefined> {
    wait.signal?.throwIfAborted();
    const task = { again: (): void => {} };
    this.#queue.push(task);
    try {
      return (await poll(wait, (last, again) => {
        task.again = again;
        const taken = this.#queue[0] === task ? this.#attempt() : undefined;
        return taken === undefined && !last ? undefined : { taken };
      }, INTERVAL)).taken;
    } finally {
      this.#queue.splice(this.#queue.indexOf(task), 1);
      this.advance();
    }
  }

  /** The first looks at once: this object has given back what others here may wait for. */
  advance(): void {
    const first = this.#queue[0];
    if (first !== undefined) queueMicrotask(() => first.again());
  }
}
