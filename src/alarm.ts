/**
 * A timer for what is awaited often and rarely comes: setting the runtime's own anew for each wait would cost more than the
 * rest of it. So that one runs on, and only what it is for changes.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import type { Timer } from "../ffi/native.ts";

/** One that can be set and taken back. */
export class Alarm {
  readonly #ring: () => void;
  #timer: Timer | undefined;
  /** When the timer goes off, and when we want it to; `Infinity`: not at all. */
  #timerDue = Infinity;
  #due = Infinity;
  #isKeepingAlive = false;

  /** @param ring What to call when it is time. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at `due` (ms, as `performance.now()` has it), and no more at what was set before. */
  set(due: number, keepAlive: boolean): void {
    this.#due = due;
    if (this.#timer === undefined || due < this.#timerDue) this.#start(keepAlive);
    else this.#keepAlive(keepAlive);
  }

  /** Takes it back. The timer runs on, and keeps nothing alive. */
  clear(): void {
    this.#due = Infinity;
    this.#keepAlive(false);
  }

  /** Ends the timer as well. */
  close(): void {
    this.#due = Infinity;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #start(keepAlive: boolean): void {
    this.#timer?.cancel();
    this.#timerDue = this.#due;
    this.#isKeepingAlive = keepAlive;
    this.#timer = runtime().startTimer(() => this.#wentOff(), Math.max(this.#due - performance.now(), 0), keepAlive);
  }

  #keepAlive(keepAlive: boolean): void {
    if (keepAlive === this.#isKeepingAlive) return;
    this.#isKeepingAlive = keepAlive;
    this.#timer?.keepAlive(keepAlive);
  }

  #wentOff(): void {
    this.#timer = undefined;
    if (this.#due === Infinity) return;
    if (this.#due > this.#timerDue) return this.#start(this.#isKeepingAlive);
    this.#due = Infinity;
    this.#ring();
  }
}
