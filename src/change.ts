/**
 * Waiting for a change, without blocking: all waits of one attachment together.
 *
 * A wait looks, and sleeps if there is nothing to see. What wakes it is the bell; the timer beside it is for what no bell
 * tells (the one that was to ring was killed), and keeps the process alive. If changes come fast, it first looks again in
 * the next few turns of the event loop: being woken costs ten times as much.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import { Alarm } from "./alarm.ts";
import type { Attachment } from "./attachment.ts";
import { changeFunctions } from "./bell.ts";
import { timeoutError } from "./errors.ts";
import type { Wait } from "./wait.ts";

/** ms between two looks with a bell: whoever was to ring may have been killed. */
const LONGEST_SLEEP = 500;
/** ms between two looks without one. */
const POLL_INTERVAL = 10;
/** Turns of the event loop in which a wait looks before it sleeps ... */
const HOT_TURNS = 30;
/** ... if the last two changes came within so many ms. On one processor it would only keep the writer from it. */
const HOT_TIME = 1;

const CHANGED = 1;

let processors: number | undefined; // asking costs a system call in Node

function hasManyProcessors(): boolean {
  return (processors ??= navigator.hardwareConcurrency) > 1;
}

interface Waiter {
  /** Looks; settles the promise and gives `true` if there is something to see. */
  readonly look: () => boolean;
  readonly deadline: number;
  /** ms until it wants to look, also when no bell rings. */
  readonly often: () => number;
  readonly wait: Wait;
  readonly reject: (reason: unknown) => void;
  readonly onAbort: () => void;
}

/** The waits of one attachment for its changes. */
export class Changes {
  readonly #attachment: Attachment;
  readonly #waiters = new Set<Waiter>();
  readonly #onRing = (): void => {
    this.#isArmed = false; // whoever rings takes it down
    this.#turn();
  };
  readonly #alarm = new Alarm(() => this.#turn());
  #lastChange = -Infinity;
  #isHot = false;
  #hotTurns = 0; // that are left; 0: asleep
  #isClosed = false;
  #isArmed = false;
  /** Has everybody looked since it was armed, and nobody been woken? */
  #isAsleep = false;
  #nextLook = Infinity;

  constructor(attachment: Attachment) {
    this.#attachment = attachment;
  }

  /**
   * Waits until `look` gives something; it is called at once, and after each change. Throws where it could reject.
   *
   * @param often How many ms may pass between two looks, for what no bell tells, such as a death.
   */
  wait<T>(look: () => T | undefined, wait: Wait, often: () => number = () => LONGEST_SLEEP): Promise<T> {
    wait.signal?.throwIfAborted();
    if (this.#isClosed) throw this.#closedError();
    const seen = look();
    if (seen !== undefined) {
      this.#noteChange();
      return Promise.resolve(seen);
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter = {
      look: () => {
        const seen = look();
        if (seen !== undefined) this.#settle(waiter, () => resolve(seen));
        return seen !== undefined;
      },
      deadline: performance.now() + wait.timeout,
      often,
      wait,
      reject,
      onAbort: () => {
        this.#settle(waiter, () => reject(wait.signal?.reason));
        this.#setAlarm(); // perhaps none is left that keeps the process alive
      },
    };
    wait.signal?.addEventListener("abort", waiter.onAbort, { once: true });
    if (this.#waiters.size === 0) this.#attachment.bell.addListener(this.#onRing);
    this.#waiters.add(waiter);
    if (this.#isAsleep) { // it has looked after the bell was armed
      this.#nextLook = Math.min(this.#nextLook, performance.now() + often());
      this.#setAlarm();
    } else {
      this.#sleep();
    }
    return promise;
  }

  /** Rejects all waits, and those to come. */
  close(): void {
    this.#isClosed = true;
    const reason = this.#closedError();
    for (const waiter of [...this.#waiters]) this.#settle(waiter, () => waiter.reject(reason));
    this.#alarm.close();
  }

  #closedError(): DOMException {
    return new DOMException(`Detached from ${this.#attachment.subject} while waiting`, "AbortError");
  }

  #settle(waiter: Waiter, how: () => void): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size === 0) {
      this.#attachment.bell.removeListener(this.#onRing);
      if (this.#isArmed && this.#attachment.isAttached) {
        changeFunctions().qshm_stop_expecting(this.#attachment.handle("wait for"));
      }
      this.#isArmed = false;
      this.#isAsleep = false;
      this.#alarm.clear();
    }
    waiter.wait.signal?.removeEventListener("abort", waiter.onAbort);
    how();
  }

  /** Looks for all. */
  #turn(): void {
    this.#isAsleep = false;
    if (this.#look()) this.#noteChange();
    if (this.#waiters.size > 0) this.#sleep();
  }

  #look(): boolean {
    const now = performance.now();
    let seen = false;
    for (const waiter of [...this.#waiters]) {
      try {
        seen = waiter.look() || seen;
      } catch (error) {
        this.#settle(waiter, () => waiter.reject(error));
      }
      if (this.#waiters.has(waiter) && now >= waiter.deadline) {
        const what = `a change of ${this.#attachment.subject}`;
        this.#settle(waiter, () => waiter.reject(timeoutError(what, waiter.wait.timeout)));
      }
    }
    return seen;
  }

  #sleep(): void {
    if (this.#isHot && performance.now() - this.#lastChange < HOT_TIME && hasManyProcessors() && this.#keepsAlive()) {
      this.#alarm.clear();
      if (this.#hotTurns === 0) runtime().nextTurn(() => this.#hotTurn());
      this.#hotTurns = HOT_TURNS;
    } else if (this.#hotTurns === 0) {
      this.#arm();
    }
  }

  #noteChange(): void {
    const now = performance.now();
    this.#isHot = now - this.#lastChange < HOT_TIME;
    this.#lastChange = now;
  }

  #keepsAlive(): boolean {
    for (const { wait } of this.#waiters) if (wait.ref) return true;
    return false;
  }

  #hotTurn(): void {
    if (this.#look()) this.#noteChange();
    if (this.#waiters.size === 0) this.#hotTurns = 0;
    else if (--this.#hotTurns > 0) runtime().nextTurn(() => this.#hotTurn());
    else this.#arm();
  }

  /** From here on the bell tells of a change. What came before is seen here. */
  #arm(): void {
    const { qshm_expect_change, qshm_revision } = changeFunctions();
    while (this.#waiters.size > 0) {
      const handle = this.#attachment.handle("wait for");
      const revision = qshm_revision(handle);
      const hasBell = this.#attachment.bell.open();
      if (this.#look()) this.#noteChange();
      if (this.#waiters.size === 0) return;
      if (hasBell && qshm_expect_change(handle, revision) === CHANGED) continue;
      this.#isArmed = hasBell;
      this.#isAsleep = true;
      this.#nextLook = performance.now() + this.#longestSleep(hasBell ? LONGEST_SLEEP : POLL_INTERVAL);
      this.#setAlarm();
      return;
    }
  }

  #longestSleep(most: number): number {
    let least = most;
    for (const { often } of this.#waiters) least = Math.min(least, often());
    return least;
  }

  /** At the next look, or when somebody's time is up. */
  #setAlarm(): void {
    if (this.#waiters.size === 0 || !this.#isAsleep) return;
    let due = this.#nextLook;
    let keepAlive = false;
    for (const { deadline, wait } of this.#waiters) {
      due = Math.min(due, deadline);
      keepAlive ||= wait.ref;
    }
    this.#alarm.set(due, keepAlive);
  }
}
