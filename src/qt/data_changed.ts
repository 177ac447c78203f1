/**
 * Being told when the bytes of a segment that Qt programs use have changed.
 *
 * Such a segment has no room for a count of changes, and a Qt program would not count. So there are two ways: whoever
 * changes something through this package rings those who wait, through a companion segment of qshm's own beside it; and who
 * waits compares the bytes from time to time. Either way it is told only if they differ from what it saw last.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";
import { QshmError } from "../errors.ts";
import { remove } from "../inspect.ts";
import { SharedMemory } from "../shared_memory.ts";
import { checkBoolean, checkOptions, checkTimeout } from "../validate.ts";
import { checkWait } from "../wait.ts";
import { type NativeKey, writtenForm } from "./native_key.ts";
import type { Segment } from "./segment.ts";

/** How to be told. */
export interface DataChangedOptions {
  /** Milliseconds between two comparisons, for changes by plain Qt programs. Default: 100. `Infinity`: none. */
  interval?: number;
  /** Aborting ends the iteration. */
  signal?: AbortSignal;
  /** Does waiting keep the process alive? Default: `true`. */
  ref?: boolean;
}

const INTERVAL = 100;
const OPTIONS = ["interval", "signal", "ref"] as const;

/** The segment by which qshm's programs tell each other that something has changed; where it cannot be had, they compare. */
export class Companion {
  readonly #key: string;
  #memory: SharedMemory | undefined;
  #cannotBeHad = false;

  /** @param key The segment's. Only its file counts: a legacy key may be a text that no segment of qshm's can have. */
  constructor(key: NativeKey) {
    this.#key = `qshm/qt ${writtenForm({ ...key, legacy: "" })}`.toWellFormed();
  }

  /** Opened at first use. `undefined`: it cannot be had. */
  get memory(): SharedMemory | undefined {
    if (this.#memory !== undefined || this.#cannotBeHad) return this.#memory;
    try {
      this.#memory = SharedMemory.open(this.#key, 1);
    } catch (error) {
      if (!(error instanceof QshmError)) throw error;
      this.#cannotBeHad = true; // a full /dev/shm, say
    }
    return this.#memory;
  }

  /** Tells those who wait to look. */
  ring(): void {
    this.memory?.notify();
  }

  /** Removes one that processes that crashed have left behind. */
  remove(): void {
    try {
      remove("memory", this.#key);
    } catch (error) {
      if (!(error instanceof QshmError)) throw error; // it is in use
    }
  }

  /** Ends the waits of this object. */
  close(): void {
    this.#memory?.detach();
    this.#memory = undefined;
  }
}

/** Follows the changes of an attached segment from now on; ends when it is detached, or the signal aborts. */
export function followChanges(
  segment: Segment,
  companion: Companion,
  options: DataChangedOptions | undefined,
): AsyncIterableIterator<void> {
  const { interval: given, signal, ref: refGiven } = checkOptions(options, OPTIONS);
  const interval = given === undefined ? INTERVAL : checkTimeout(given, "Interval");
  const ref = checkBoolean("Ref", refGiven, true);
  const ending = new AbortController();
  const end = (): void => ending.abort();
  checkWait(signal === undefined ? {} : { signal });
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end, { once: true });
  const last = segment.read(0, segment.size);
  const memory = companion.memory;
  let revision = memory?.revision ?? 0;

  /** Until somebody rings, or it is time to compare. */
  async function sleep(): Promise<void> {
    if (memory === undefined) return await pause(interval, ending.signal, ref);
    try {
      revision = await memory.waitForChange(revision, { timeout: interval, signal: ending.signal, ref });
    } catch (error) {
      if ((error as Error).name !== "TimeoutError") throw error;
    }
  }

  async function* follow(): AsyncGenerator<void, void, undefined> {
    try {
      while (segment.isAttached && !ending.signal.aborted) {
        if (segment.refresh(last)) yield;
        else await sleep();
      }
    } catch (error) {
      if (segment.isAttached && !ending.signal.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", end);
    }
  }

  const changes = follow();
  return {
    next: () => changes.next(),
    return: () => {
      end(); // a pending next() would hold up the generator's own return()
      return Promise.resolve({ done: true, value: undefined });
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

function pause(ms: number, signal: AbortSignal, ref: boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = runtime().startTimer(resolve, Math.min(ms, 2 ** 31 - 1), ref);
  signal.addEventListener("abort", () => {
    timer.cancel();
    resolve();
  }, { once: true });
  return promise;
}

type Listener = (event: Event) => void;

/** Those who want to be told by an event. While there is one, the changes are followed. */
export class Listeners {
  readonly #follow: (signal: AbortSignal) => AsyncIterableIterator<void>;
  readonly #listeners = new Map<Listener, boolean>();
  #following: AbortController | undefined;

  /** @param follow Follows the changes until the signal aborts. */
  constructor(follow: (signal: AbortSignal) => AsyncIterableIterator<void>) {
    this.#follow = follow;
  }

  /** Calls `listener` at each change, or at the next one only. `canFollow`: there is something to follow already. */
  add(listener: Listener, once: boolean, canFollow: boolean): void {
    this.#listeners.set(listener, once);
    if (canFollow) this.start();
  }

  /** Ends {@linkcode add}. */
  remove(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size === 0) this.stop();
  }

  /** To be called when there is something to follow. */
  start(): void {
    if (this.#following !== undefined || this.#listeners.size === 0) return;
    const following = new AbortController();
    this.#following = following;
    void this.#run(this.#follow(following.signal), following);
  }

  /** To be called when there is nothing to follow any more. */
  stop(): void {
    this.#following?.abort();
    this.#following = undefined;
  }

  async #run(changes: AsyncIterableIterator<void>, following: AbortController): Promise<void> {
    for await (const _ of changes) {
      for (const [listener, once] of [...this.#listeners]) {
        if (following.signal.aborted) return;
        if (once) this.remove(listener);
        try {
          listener(new Event("dataChanged"));
        } catch (error) {
          reportError(error); // as other events do; the rest is told all the same
        }
      }
    }
    if (this.#following === following) this.#following = undefined;
  }
}
