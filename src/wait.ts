/**
 * The options that all waits share, and timers that do or do not keep the process alive.
 *
 * @module
 */

import { process } from "../ffi/load.ts";
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

/** Checks the options of a wait. */
export function checkWait(options: WaitOptions | undefined): Wait {
  const { timeout, signal, ref } = checkOptions(options, ["timeout", "signal", "ref"]);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Signal must be an AbortSignal");
  }
  return { timeout: checkTimeout(timeout), signal, ref: checkBoolean("Ref", ref, true) };
}

/** Checks the options of a blocking wait. */
export function checkSyncWait(options: SyncWaitOptions | undefined): number {
  return checkTimeout(checkOptions(options, ["timeout"]).timeout);
}

interface TimersModule {
  setTimeout(f: () => void, ms: number): { unref(): void };
  clearTimeout(timer: object): void;
}

let timers: TimersModule | undefined;

/** A timer that can be called off. */
export interface Timer {
  cancel(): void;
}

/** Calls `f` after `ms`. The timers of all three runtimes differ, those of node:timers do not. */
export function startTimer(ms: number, ref: boolean, f: () => void): Timer {
  timers ??= process.getBuiltinModule!("node:timers") as TimersModule;
  const { setTimeout, clearTimeout } = timers;
  const timer = setTimeout(f, ms);
  if (!ref) timer.unref();
  return { cancel: () => clearTimeout(timer) };
}
