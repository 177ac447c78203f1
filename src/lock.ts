/**
 * The lock of a segment, as one attachment sees it. Ownership belongs to the attachment: tasks of this process that
 * want it queue up here, in order, and only the first asks the library.
 *
 * An asynchronous wait is a series of single tries, 1 to 5 ms apart: each looks at the whole condition again, so that
 * nothing depends on a wake-up that a dying process may have swallowed.
 *
 * @module
 */

import { native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import type { Attachment } from "./attachment.ts";
import { timeoutError } from "./errors.ts";
import type { Wait } from "./wait.ts";

/** A lock that is held. */
export interface Lock extends Disposable {
  /** The former owner died, or was forced out, while it held the lock: what the lock protects may be half-written. */
  readonly ownerDied: boolean;
  /** Frees the lock. Doing so again is nothing. Throws {@linkcode LockError} if the lock was taken away. */
  unlock(): void;
}

let functions: Group<"lock"> | undefined;

function library(): Group<"lock"> {
  return functions ??= native("lock");
}

const TAKEN_DIED = 2;
const LOCK_LOST = -11;
const FIRST_INTERVAL = 1;
const SLOWEST_INTERVAL = 5;
/** While a task of this attachment holds the lock there is nothing to ask; the timer only keeps the process alive. */
const IDLE_INTERVAL = 1000;

interface Waiter {
  readonly deadline: number;
  readonly wait: Wait;
  readonly resolve: (lock: Lock) => void;
  readonly reject: (reason: unknown) => void;
  readonly onAbort: () => void;
}

class HeldLock implements Lock {
  readonly ownerDied: boolean;
  readonly #queue: LockQueue;

  constructor(queue: LockQueue, ownerDied: boolean) {
    this.#queue = queue;
    this.ownerDied = ownerDied;
  }

  unlock(): void {
    this.#queue.unlock(this);
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** The tasks of one attachment that hold the lock or wait for it. */
export class LockQueue {
  readonly #attachment: Attachment;
  readonly #waiters: Waiter[] = [];
  #held: HeldLock | undefined;
  #cancelTimer: (() => void) | undefined;
  #interval = FIRST_INTERVAL;
  #nearestDeadline = Infinity;

  constructor(attachment: Attachment) {
    this.#attachment = attachment;
  }

  /** Takes the lock if it is free and no task of this attachment is before us. */
  tryLock(): Lock | undefined {
    const handle = this.#attachment.handle("lock");
    return this.#held === undefined && this.#waiters.length === 0
      ? this.#result(library().qshm_try_lock(handle))
      : undefined;
  }

  /** Blocks the thread. Goes before tasks that wait: they cannot run meanwhile. */
  lockSync(timeout: number): Lock {
    const handle = this.#attachment.handle("lock");
    const lock = this.#result(library().qshm_wait_lock(handle, timeout));
    if (lock === undefined) throw timeoutError(`the lock of ${this.#attachment.subject}`, timeout);
    return lock;
  }

  /** Waits without blocking. Throws where it could reject; the caller turns one into the other. */
  lock(wait: Wait): Promise<Lock> {
    wait.signal?.throwIfAborted();
    const lock = this.tryLock();
    return lock !== undefined ? Promise.resolve(lock) : this.#queue(wait);
  }

  #queue(wait: Wait): Promise<Lock> {
    const { promise, resolve, reject } = Promise.withResolvers<Lock>();
    const waiter: Waiter = {
      deadline: performance.now() + wait.timeout,
      wait,
      resolve,
      reject,
      onAbort: () => this.#leave(waiter, wait.signal?.reason),
    };
    wait.signal?.addEventListener("abort", waiter.onAbort, { once: true });
    this.#waiters.push(waiter);
    this.#nearestDeadline = Math.min(this.#nearestDeadline, waiter.deadline);
    this.#interval = FIRST_INTERVAL;
    this.#turn();
    return promise;
  }

  /** Ends a lock: at most once, and only if it is this attachment's still. */
  unlock(lock: HeldLock): void {
    if (this.#held !== lock) return;
    this.#held = undefined;
    if (!this.#attachment.isAttached) return; // the process is ending: its exit hook has freed everything
    const result = library().qshm_unlock(this.#attachment.handle("unlock"));
    this.#interval = FIRST_INTERVAL;
    if (this.#waiters.length > 0) queueMicrotask(() => this.#turn());
    if (result === LOCK_LOST) {
      throw this.#attachment.error(result, "unlock", "it was taken away by forceUnlock()");
    }
    if (result < 0) throw this.#attachment.error(result, "unlock");
  }

  /** Rejects all who wait; for detach. */
  close(): void {
    this.#held = undefined;
    const reason = new DOMException(`Detached from ${this.#attachment.subject} while waiting`, "AbortError");
    for (const waiter of this.#waiters.splice(0)) this.#settle(waiter, () => waiter.reject(reason));
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  /** What a result of the library means: a lock, none, or an error. */
  #result(result: number): Lock | undefined {
    if (result === 0) return undefined;
    if (result < 0) throw this.#attachment.error(result, "lock");
    return this.#held = new HeldLock(this, result === TAKEN_DIED);
  }

  /** One look at everything: is the lock to be had, is somebody's time up, when to look again? */
  #turn(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const first = this.#waiters[0];
    if (first === undefined || !this.#attachment.isAttached) return;
    try {
      const lock = this.#held === undefined
        ? this.#result(library().qshm_poll_lock(this.#attachment.handle("lock")))
        : undefined;
      if (lock !== undefined) {
        this.#waiters.shift();
        this.#settle(first, () => first.resolve(lock));
      }
    } catch (error) {
      this.#waiters.shift();
      this.#settle(first, () => first.reject(error));
    }
    const now = performance.now();
    this.#rejectExpired(now);
    this.#plan(now);
  }

  #plan(now: number): void {
    if (this.#waiters.length === 0) return;
    const interval = this.#held === undefined ? this.#interval : IDLE_INTERVAL;
    this.#interval = Math.min(this.#interval * 1.5, SLOWEST_INTERVAL);
    const due = Math.min(this.#nearestDeadline, now + interval);
    const ref = this.#waiters.some(({ wait }) => wait.ref);
    this.#cancelTimer = runtime().startTimer(() => this.#turn(), Math.max(due - now, 0), ref);
  }

  #rejectExpired(now: number): void {
    if (now < this.#nearestDeadline) return;
    for (const waiter of this.#waiters.filter(({ deadline }) => deadline <= now)) {
      this.#leave(waiter, timeoutError(`the lock of ${this.#attachment.subject}`, waiter.wait.timeout));
    }
    this.#nearestDeadline = this.#waiters.reduce((nearest, { deadline }) => Math.min(nearest, deadline), Infinity);
  }

  /** A waiter gives up. The last one withdraws the attachment's claim. */
  #leave(waiter: Waiter, reason: unknown): void {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return;
    this.#waiters.splice(index, 1);
    this.#settle(waiter, () => waiter.reject(reason));
    if (this.#waiters.length > 0) return;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    library().qshm_cancel_lock(this.#attachment.handle("lock"));
  }

  #settle(waiter: Waiter, how: () => void): void {
    waiter.wait.signal?.removeEventListener("abort", waiter.onAbort);
    how();
  }
}
