/**
 * The tasks of one attachment that wait for something that the attachment can have once: they queue up here, in order, and
 * only the first asks the library.
 *
 * An asynchronous wait is a series of single tries, at each ring of the bell and 1 to 5 ms apart: each looks at the whole
 * condition again, so that nothing depends on a wake-up that a dying process may have swallowed.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import type { Timer } from "../ffi/native.ts";
import type { Attachment } from "./attachment.ts";
import { timeoutError } from "./errors.ts";
import type { Wait } from "./wait.ts";

/** What is waited for. */
export interface Source<Request, Result> {
  /** For messages, such as `the lock of shared memory "a"`. */
  readonly what: string;
  /** Is there no use in asking, because another task of this attachment has it? */
  isBlocked(): boolean;
  /** Asks the library. It then knows that this attachment waits. */
  attempt(request: Request): Result | undefined;
  /** Tells the library that this attachment waits no more. */
  cancel(): void;
}

const FIRST_INTERVAL = 1;
const SLOWEST_INTERVAL = 5;
/** While a task of this attachment has it there is nothing to ask; the timer only keeps the process alive. */
const IDLE_INTERVAL = 1000;

interface Waiter<Request, Result> {
  readonly request: Request;
  readonly deadline: number;
  readonly wait: Wait;
  readonly resolve: (result: Result) => void;
  readonly reject: (reason: unknown) => void;
  readonly onAbort: () => void;
}

/** The tasks of one attachment that wait. */
export class WaitQueue<Request, Result> {
  readonly #attachment: Attachment;
  readonly #source: Source<Request, Result>;
  readonly #waiters: Waiter<Request, Result>[] = [];
  readonly #onRing = (): void => this.#turn();
  #timer: Timer | undefined;
  #interval = FIRST_INTERVAL;
  #nearestDeadline = Infinity;

  constructor(attachment: Attachment, source: Source<Request, Result>) {
    this.#attachment = attachment;
    this.#source = source;
  }

  /** Does nobody wait? */
  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  /** Waits behind all others. */
  add(request: Request, wait: Wait): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const waiter: Waiter<Request, Result> = {
      request,
      deadline: performance.now() + wait.timeout,
      wait,
      resolve,
      reject,
      onAbort: () => this.#leave(waiter, wait.signal?.reason),
    };
    wait.signal?.addEventListener("abort", waiter.onAbort, { once: true });
    if (this.isEmpty) {
      this.#attachment.bell.open();
      this.#attachment.bell.addListener(this.#onRing);
    }
    this.#waiters.push(waiter);
    this.#nearestDeadline = Math.min(this.#nearestDeadline, waiter.deadline);
    this.#interval = FIRST_INTERVAL;
    this.#turn();
    return promise;
  }

  /** To be called when a task of this attachment has given up what others here wait for. */
  advance(): void {
    this.#interval = FIRST_INTERVAL;
    if (!this.isEmpty) queueMicrotask(() => this.#turn());
  }

  /** Rejects all who wait; for detach. */
  close(): void {
    const reason = new DOMException(`Detached from ${this.#attachment.subject} while waiting`, "AbortError");
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, () => waiter.reject(reason));
  }

  /** One look at everything: is it to be had, is somebody's time up, when to look again? */
  #turn(): void {
    while (this.#serveFirst()) { /* the next one may have its turn at once */ }
    const now = performance.now();
    this.#rejectExpired(now);
    this.#plan(now);
  }

  /** Does the first get what it waits for, or an error? */
  #serveFirst(): boolean {
    const first = this.#waiters[0];
    if (first === undefined || !this.#attachment.isAttached || this.#source.isBlocked()) return false;
    try {
      const result = this.#source.attempt(first.request);
      if (result === undefined) return false;
      this.#waiters.shift();
      this.#settle(first, () => first.resolve(result));
    } catch (error) {
      this.#leave(first, error);
    }
    return true;
  }

  #plan(now: number): void {
    if (this.isEmpty || !this.#attachment.isAttached) return;
    const interval = this.#source.isBlocked() ? IDLE_INTERVAL : this.#interval;
    this.#interval = Math.min(this.#interval * 1.5, SLOWEST_INTERVAL);
    const due = Math.min(this.#nearestDeadline, now + interval);
    const ref = this.#waiters.some(({ wait }) => wait.ref);
    this.#timer?.cancel();
    this.#timer = runtime().startTimer(() => this.#turn(), Math.max(due - now, 0), ref);
  }

  #rejectExpired(now: number): void {
    if (now < this.#nearestDeadline) return;
    for (const waiter of this.#waiters.filter(({ deadline }) => deadline <= now)) {
      this.#leave(waiter, timeoutError(this.#source.what, waiter.wait.timeout));
    }
    this.#nearestDeadline = this.#waiters.reduce((nearest, { deadline }) => Math.min(nearest, deadline), Infinity);
  }

  /** A waiter gives up. The last one withdraws the attachment's claim. */
  #leave(waiter: Waiter<Request, Result>, reason: unknown): void {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return;
    this.#waiters.splice(index, 1);
    this.#settle(waiter, () => waiter.reject(reason));
    if (!this.#attachment.isAttached) return; // the process is ending
    if (this.isEmpty) this.#source.cancel();
    else this.#plan(performance.now()); // perhaps none is left that keeps the process alive
  }

  #settle(waiter: Waiter<Request, Result>, how: () => void): void {
    if (this.isEmpty) {
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#attachment.bell.removeListener(this.#onRing);
    }
    waiter.wait.signal?.removeEventListener("abort", waiter.onAbort);
    how();
  }
}
