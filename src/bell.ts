/**
 * The bell of one attachment: what wakes this event loop when another process changes something.
 *
 * It is opened when somebody first has to wait, and stays until the attachment ends: opening costs more than a wait. A ring
 * is a hint, never the news itself: whoever hears it looks again, and looks from time to time without one.
 *
 * @module
 */

import { native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { outcome } from "./outcome.ts";

let functions: Group<"change"> | undefined;

/** The library's functions for changes and bells. */
export function changeFunctions(): Group<"change"> {
  return functions ??= native("change");
}

/** ms until a bell that could not be had is asked for again. */
const RETRY = 1000;

/** One attachment's bell. */
export class Bell {
  readonly #handle: () => number;
  readonly #listeners = new Set<() => void>();
  #close: (() => void) | undefined;
  #retryAt = 0;

  /** @param handle Gives the attachment's handle; throws when it has ended. */
  constructor(handle: () => number) {
    this.#handle = handle;
  }

  /** Calls `listener` at each ring, until it is taken away again. */
  addListener(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Ends {@linkcode addListener}. */
  removeListener(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /** Opens it, unless it is open. `false`: there is none to be had, so look more often. */
  open(): boolean {
    if (this.#close !== undefined) return true;
    const now = performance.now();
    if (now < this.#retryAt) return false;
    const { bellKind, listen } = runtime();
    const fd = changeFunctions().qshm_bell_open(this.#handle(), bellKind, outcome);
    if (fd < 0) {
      this.#retryAt = now + RETRY;
      return false;
    }
    let isOpening = true;
    let isBroken = false;
    try {
      this.#close = listen(fd, () => this.#ring(), () => {
        isBroken = true;
        if (!isOpening) this.#broken();
      });
    } catch {
      isBroken = true; // something else was put in its place
    }
    isOpening = false;
    if (isBroken) this.#giveUp();
    return !isBroken;
  }

  /** Closes it; another wait opens a new one. */
  close(): void {
    if (this.#close === undefined) return;
    changeFunctions().qshm_bell_close(this.#handle());
    this.#close();
    this.#close = undefined;
  }

  #giveUp(): void {
    this.#retryAt = performance.now() + RETRY;
    changeFunctions().qshm_bell_close(this.#handle());
    this.#close?.();
    this.#close = undefined;
  }

  #ring(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  /** Somebody has broken it. */
  #broken(): void {
    this.#giveUp();
    this.#ring();
  }
}
