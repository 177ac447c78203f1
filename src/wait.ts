/**
 * The options that all waits share.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import type { Timer } from "../ffi/native.ts";
import { checkBoolean, checkOptions, checkTimeout } from "./validate.ts";

/** How an asynchronous call waits. */
export interface WaitOptions {
  /** Milliseconds; then a `DOMException` named `TimeoutError`. Default: `Infinity`, unless said otherwise. */
  timeout?: number;
  /** Aborting rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Does the wait keep the process alive? Default: `true`. */
  ref?: boolean;
}

/** How a blocking call waits. */
export interface SyncWaitOptions {
  /** Milliseconds; then a `DOMException` named `TimeoutError`. Default: `Infinity`. */
  timeout?: number;
}

/** A checked {@linkcode WaitOptions}. */
export interface Wait {
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly ref: boolean;
}

const FOR_EVER: Wait = { timeout: Infinity, signal: undefined, ref: true };

/** Checks the options of a wait. */
export function checkWait(options: WaitOptions | undefined): Wait {
  if (options === undefined) return FOR_EVER;
  const { timeout, signal, ref } = checkOptions(options, ["timeout", "signal", "ref"]);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Signal must be an AbortSignal");
  }
  return { timeout: checkTimeout(timeout), signal, ref: checkBoolean("Ref", ref, true) };
}

/** Checks the options of a blocking wait. */
export function checkSyncWait(options: SyncWaitOptions | undefined): number {
  if (options === undefined) return Infinity;
  return checkTimeout(checkOptions(options, ["timeout"]).timeout);
}

/** ms between two looks of {@linkcode poll}, on average, unless said otherwise. */
const INTERVAL = 10;

/**
 * Looks now, and then about every `interval` ms, until `look` gives something or throws. When time is up it is called for the
 * last time, and must do one or the other. It may have `again` called, by a bell, to look before that.
 */
export function poll<T>(
  { timeout, signal, ref }: Wait,
  look: (last: boolean, again: () => void) => T | undefined,
  interval: number = INTERVAL,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const deadline = performance.now() + timeout;
  let timer: Timer | undefined;
  let isSettled = false;
  const settle = (how: () => void): void => {
    isSettled = true;
    timer?.cancel();
    signal?.removeEventListener("abort", onAbort);
    how();
  };
  const onAbort = (): void => settle(() => reject(signal?.reason));
  const turn = (): void => {
    if (isSettled) return;
    timer?.cancel();
    try {
      const now = performance.now();
      const found = look(now >= deadline, turn);
      if (found !== undefined) return settle(() => resolve(found));
      // With jitter, so that many who wait do not walk in step.
      const pause = Math.min(interval * (0.5 + Math.random()), Math.max(deadline - now, 0));
      timer = runtime().startTimer(turn, pause, ref);
    } catch (error) {
      settle(() => reject(error));
    }
  };
  signal?.addEventListener("abort", onAbort, { once: true });
  turn();
  return promise;
}
