/**
 * The options that all waits share.
 *
 * @module
 */

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
