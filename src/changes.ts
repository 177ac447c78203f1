/**
 * What `changes()` gives: an iterator of what happens from now on.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import type { Changes } from "./change.ts";
import { checkBoolean, checkOptions } from "./validate.ts";
import { checkWait } from "./wait.ts";

/** How to follow changes. */
export interface ChangesOptions {
  /** Aborting ends the iteration. */
  signal?: AbortSignal;
  /** Begin with what is there now. Default: `false`. */
  initial?: boolean;
  /** Does a pending iteration keep the process alive? Default: `true`. */
  ref?: boolean;
}

/** Changes after which the event loop gets its turn: with a fast writer there is always one more. */
const TURN = 64;

const OPTIONS = ["signal", "initial", "ref"] as const;

/**
 * Follows a count of changes, and gives what there is to read whenever it has moved. Several changes may be seen as one.
 *
 * @param count Gives the count now, or `undefined` if there is nothing to read yet.
 * @param read Gives what there is, and the count that it belongs to.
 */
export function follow<T>(
  options: ChangesOptions | undefined,
  changes: Changes,
  count: () => number | undefined,
  read: () => { readonly count: number; readonly value: T },
): AsyncIterableIterator<T> {
  const { signal, initial, ref } = checkOptions(options, OPTIONS);
  const { signal: aborted, ref: keepsAlive } = checkWait({ signal, ref });
  let seen = checkBoolean("Initial", initial, false) ? undefined : count();
  const ending = new AbortController();
  const end = (): void => {
    aborted?.removeEventListener("abort", end);
    ending.abort();
  };
  if (aborted?.aborted) end();
  else aborted?.addEventListener("abort", end, { once: true });

  const look = (): { readonly value: T } | undefined => {
    const now = count();
    if (now === seen || now === undefined) return undefined;
    const found = read();
    seen = found.count;
    return found;
  };
  let last: Promise<unknown> = Promise.resolve();
  let taken = 0;

  async function next(): Promise<IteratorResult<T>> {
    const done = { done: true, value: undefined } as const;
    if (ending.signal.aborted) return done;
    if (++taken % TURN === 0) await new Promise<void>((resolve) => runtime().nextTurn(resolve));
    try {
      const { value } = await changes.wait(look, { timeout: Infinity, signal: ending.signal, ref: keepsAlive });
      return { done: false, value };
    } catch (error) {
      const isOver = ending.signal.aborted || (error as Error).name === "AbortError";
      end();
      if (isOver) return done;
      throw error;
    }
  }

  return {
    next: () => {
      const result = last.then(next); // one after the other, however they are asked for
      last = result.catch(() => {});
      return result;
    },
    return: () => {
      end();
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
