/** What several suites need. Nothing here asks for a permission until it is called. */

import assert from "node:assert/strict";
import { setTimeout } from "node:timers/promises";
import { AlreadyRunningError, QshmError, type SharedMemory } from "../../mod.ts";

/** Lets everything run that needs no timer and no I/O: what has not happened then was not done in the same turn. */
export async function microtasks(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

/** A promise's fate, to be looked at without waiting for it. */
export interface Fate<T> {
  state: "pending" | "fulfilled" | "rejected";
  value?: T;
  reason?: unknown;
}

/** Watches a promise; a rejection counts as handled. */
export function watch<T>(promise: Promise<T>): Fate<T> {
  const fate: Fate<T> = { state: "pending" };
  promise.then(
    (value) => Object.assign(fate, { state: "fulfilled", value }),
    (reason) => Object.assign(fate, { state: "rejected", reason }),
  );
  return fate;
}

/** What a function throws. */
export function thrownBy(f: () => unknown): unknown {
  try {
    f();
  } catch (error) {
    return error;
  }
  assert.fail("nothing was thrown");
}

/** As `thrownBy`, for an error of the library. */
export function errorOf(f: () => unknown): QshmError {
  const error = thrownBy(f);
  if (!(error instanceof QshmError)) throw error;
  return error;
}

/** What a promise is rejected with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("the promise was fulfilled");
}

/** Asserts a `DOMException` of a name. */
export function assertDomException(error: unknown, name: string, message?: RegExp): void {
  assert.ok(error instanceof DOMException, `${error}`);
  assert.equal(error.name, name);
  if (message !== undefined) assert.match(error.message, message);
}

/** What a refused attempt to hold a guard is rejected with. */
export async function refusalOf(promise: Promise<unknown>): Promise<AlreadyRunningError> {
  const error = await rejectionOf(promise);
  if (!(error instanceof AlreadyRunningError)) throw error;
  return error;
}

/** Looks until something is so. The limit ends what would otherwise be a hang; nothing gets near it. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const began = performance.now(); !condition(); await setTimeout(1)) {
    assert.ok(performance.now() - began < 60_000, `never: ${what}`);
  }
}

/** Counts the listeners that a signal has. */
export function countListeners(signal: AbortSignal): { readonly count: number } {
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...rest: Parameters<typeof addEventListener>) => {
    listeners.add(rest[1]);
    addEventListener.apply(signal, rest);
  };
  signal.removeEventListener = (...rest: Parameters<typeof removeEventListener>) => {
    listeners.delete(rest[1]);
    removeEventListener.apply(signal, rest);
  };
  return {
    get count() {
      return listeners.size;
    },
  };
}

/** The timers that are running; those of `node:timers` do not count. */
export function countTimers(): Disposable & { readonly count: number } {
  const { setTimeout, clearTimeout } = globalThis;
  const running = new Set<unknown>();
  globalThis.setTimeout = ((f: () => void, ms: number) => {
    const timer = setTimeout(() => {
      running.delete(timer);
      f();
    }, ms);
    running.add(timer);
    return timer;
  }) as typeof setTimeout;
  globalThis.clearTimeout = ((timer: number) => {
    running.delete(timer);
    clearTimeout(timer);
  }) as typeof clearTimeout;
  return {
    get count() {
      return running.size;
    },
    [Symbol.dispose]: () => void Object.assign(globalThis, { setTimeout, clearTimeout }),
  };
}

/** From its `stop()` on no timer comes due, except those of `node:timers`: what wakes somebody then is a bell. */
export function stoppableTimers(): Disposable & { stop(): void } {
  const { setTimeout } = globalThis;
  let isStopped = false;
  globalThis.setTimeout = ((f: () => void, ms: number) => setTimeout(() => isStopped || f(), ms)) as typeof setTimeout;
  return {
    stop: () => void (isStopped = true),
    [Symbol.dispose]: () => void Object.assign(globalThis, { setTimeout }),
  };
}

/** Is the lock free? Looked at through any attachment of the segment. */
export function isFree(memory: SharedMemory): boolean {
  return memory.lockOwner === undefined;
}

/** Collects garbage: at once where the runtime offers it, else by making some. */
export function collectGarbage(): void {
  const { gc, Bun } = globalThis as { gc?: () => void; Bun?: { gc(force: boolean): void } };
  if (gc !== undefined) return gc();
  if (Bun !== undefined) return Bun.gc(true);
  for (let i = 0; i < 50; i++) new Uint8Array(1 << 20)[i] = i;
}

/** Text as bytes. */
export function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Are they the same? `deepEqual` takes seconds for many. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
