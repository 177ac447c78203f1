/**
 * Permits with a name.
 *
 * @module
 */

import { native } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { Attachment } from "./attachment.ts";
import { changeFunctions } from "./bell.ts";
import { timeoutError, withLibrary } from "./errors.ts";
import { checkLife, LIFE_OPTIONS, type LifeOptions } from "./life.ts";
import { outcome } from "./outcome.ts";
import { checkInteger, checkOptions } from "./validate.ts";
import { checkSyncWait, checkWait, type SyncWaitOptions, type WaitOptions } from "./wait.ts";
import { WaitQueue } from "./wait_queue.ts";

/** How to open a semaphore. */
export interface SemaphoreOptions extends LifeOptions {
  /** Permits that one that is created has, 0 to `max`. Default: 1. */
  initial?: number;
  /** Permits that there may be, at most 2^31-1. Default: 2^31-1. */
  max?: number;
}

/** Permits that are held. They come back when they are released, or their holder ends, however it ends. */
export interface Permit extends Disposable {
  /** How many. */
  readonly count: number;
  /** Gives them back. Doing so again, or after {@linkcode Permit.forget}, is nothing. */
  release(): void;
  /** Consumes them for good: they do not come back, also not when this process dies. */
  forget(): void;
}

let functions: Group<"semaphore"> | undefined;

function library(): Group<"semaphore"> {
  return functions ??= native("semaphore");
}

const MOST_PERMITS = 2 ** 31 - 1;
const TAKEN = 1;
const ARGUMENT = -2;
const BUSY = -13;
/** ms: one that holds permits may die, and nobody rings for that. */
const LONGEST_SLEEP = 5;

class HeldPermit implements Permit {
  readonly count: number;
  #end: ((consume: boolean) => void) | undefined;

  constructor(count: number, end: (consume: boolean) => void) {
    this.count = count;
    this.#end = end;
  }

  release(): void {
    this.#finish(false);
  }

  forget(): void {
    this.#finish(true);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #finish(consume: boolean): void {
    const end = this.#end;
    this.#end = undefined;
    end?.(consume);
  }
}

/**
 * A number of permits, shared by processes: who has one may do what there is not enough of for all. Permits whose holder
 * dies come back, exactly once. Whoever asks for many is not starved by those who ask for few: all are served in the order
 * in which they came.
 *
 * Two uses: to limit how many do something at once, with {@linkcode Permit.release}; and to count what has been made and
 * not yet consumed, with {@linkcode SystemSemaphore.release} by the producer and {@linkcode Permit.forget} by the consumer.
 *
 * @example At most two at once
 * ```ts
 * import { SystemSemaphore } from "qshm";
 *
 * using workers = SystemSemaphore.open("class-semaphore-example", { initial: 2 });
 * {
 *   using _permit = await workers.acquire();
 *   console.assert(workers.available === 1);
 * }
 * console.assert(workers.available === 2);
 * ```
 *
 * @example A producer and a consumer
 * ```ts
 * import { SystemSemaphore } from "qshm";
 *
 * using items = SystemSemaphore.open("items-example", { initial: 0 });
 * items.release(); // the producer has made one
 *
 * const permit = await items.acquire(); // the consumer waits for one,
 * permit.forget(); // and has dealt with it
 * console.assert(items.available === 0);
 * ```
 */
export class SystemSemaphore implements Disposable {
  readonly #attachment: Attachment;
  readonly #waiters: WaitQueue<number, Permit>;

  private constructor(attachment: Attachment) {
    this.#attachment = attachment;
    this.#waiters = new WaitQueue(attachment, {
      what: `permits of ${attachment.subject}`,
      isBlocked: () => false,
      attempt: (count) => this.#take(count, true),
      cancel: () => void library().qshm_withdraw(attachment.handle("acquire")),
    });
  }

  /**
   * Opens a semaphore: attaches to it, or creates it.
   *
   * @param key Any text without NUL.
   * @param options `initial` and `max` permits, place and life; one that exists keeps its own.
   * @returns The semaphore.
   * @throws {RangeError} `initial` is more than `max`.
   * @throws {IncompatibleError} It was made by another version.
   *
   * @example Usage
   * ```ts
   * import { SystemSemaphore } from "qshm";
   *
   * using semaphore = SystemSemaphore.open("open-semaphore-example", { initial: 3, max: 10 });
   * console.assert(semaphore.available === 3);
   * ```
   */
  static open(key: string, options?: SemaphoreOptions): SystemSemaphore {
    const { initial = 1, max = MOST_PERMITS, ...rest } = checkOptions(options, [...LIFE_OPTIONS, "initial", "max"]);
    const { directory, mode, persistent } = checkLife(rest);
    checkInteger("Max", max, 1, MOST_PERMITS);
    checkInteger("Initial", initial, 0, max);
    const { qshm_open_semaphore } = withLibrary("open", key, library);
    return new SystemSemaphore(
      new Attachment({
        kind: "semaphore",
        operation: "open",
        key,
        size: 0,
        directory,
        mode,
        persistent,
        open: (how, mode, key, place) =>
          qshm_open_semaphore(how, mode, initial, max, key, key.length, place, place.length, outcome),
      }),
    );
  }

  /** The key, as given. */
  get key(): string {
    return this.#attachment.key;
  }

  /** The path of its file. */
  get path(): string {
    return this.#attachment.path;
  }

  /** Permits that are free now. */
  get available(): number {
    return this.#check(library().qshm_available(this.#attachment.handle("read")), "read");
  }

  /**
   * Waits for permits without blocking, in the order in which all ask.
   *
   * @param options `count`: how many, all or none, default 1; how to wait, by default without a limit.
   * @returns The permits.
   * @throws {RangeError} `count` is more than there may ever be.
   * @throws {DOMException} `TimeoutError`: time is up; `AbortError`: closed meanwhile; or the signal's reason.
   * @throws {OutOfResourcesError} 256 objects hold or wait for permits of this semaphore.
   *
   * @example Usage
   * ```ts
   * import { SystemSemaphore } from "qshm";
   *
   * using semaphore = SystemSemaphore.open("acquire-permit-example", { initial: 5 });
   * using permit = await semaphore.acquire({ count: 2, timeout: 1000 });
   * console.assert(permit.count === 2 && semaphore.available === 3);
   * ```
   */
  acquire(options?: WaitOptions & { count?: number }): Promise<Permit> {
    try {
      const { count = 1, ...rest } = checkOptions(options, ["timeout", "signal", "ref", "count"]);
      const wait = checkWait(rest);
      wait.signal?.throwIfAborted();
      const permit = this.tryAcquire(count);
      return permit !== undefined ? Promise.resolve(permit) : this.#waiters.add(count, wait);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes permits if they are free and nobody waits for them.
   *
   * @param count How many, all or none. Default: 1.
   * @returns The permits, or `undefined`.
   * @throws {RangeError} `count` is more than there may ever be.
   *
   * @example Usage
   * ```ts
   * import { SystemSemaphore } from "qshm";
   *
   * using semaphore = SystemSemaphore.open("try-acquire-permit-example");
   * using permit = semaphore.tryAcquire();
   * console.assert(permit !== undefined && semaphore.tryAcquire() === undefined);
   * ```
   */
  tryAcquire(count = 1): Permit | undefined {
    this.#checkCount(count, "acquire");
    return this.#waiters.isEmpty ? this.#take(count, false) : undefined;
  }

  /**
   * Waits for permits and blocks the thread meanwhile.
   *
   * @param options `count`: how many, all or none, default 1; how long to wait, by default without a limit.
   * @returns The permits.
   * @throws {RangeError} `count` is more than there may ever be.
   * @throws {DOMException} `TimeoutError`: time is up.
   *
   * @example Usage
   * ```ts
   * import { SystemSemaphore } from "qshm";
   *
   * using semaphore = SystemSemaphore.open("acquire-sync-example");
   * using _permit = semaphore.acquireSync({ timeout: 100 });
   * console.assert(semaphore.available === 0);
   * ```
   */
  acquireSync(options?: SyncWaitOptions & { count?: number }): Permit {
    const { count = 1, ...rest } = checkOptions(options, ["timeout", "count"]);
    const timeout = checkSyncWait(rest);
    this.#checkCount(count, "acquire");
    const { qshm_revision, qshm_wait_change } = changeFunctions();
    const handle = this.#attachment.handle("acquire");
    const deadline = performance.now() + timeout;
    try {
      for (;;) {
        const revision = qshm_revision(handle);
        const permit = this.#take(count, true);
        if (permit !== undefined) return permit;
        const left = deadline - performance.now();
        if (left <= 0) throw timeoutError(`permits of ${this.#attachment.subject}`, timeout);
        qshm_wait_change(handle, revision, Math.min(left, LONGEST_SLEEP));
      }
    } catch (error) {
      library().qshm_withdraw(handle);
      throw error;
    } finally {
      this.#waiters.advance(); // tasks that wait lose the place that they had in common with this one
    }
  }

  /**
   * Adds permits: tells others that there is something. They stay when this process ends.
   *
   * @param count How many. Default: 1.
   * @throws {RangeError} There would be more than `max`, counting those that are held.
   *
   * @example Usage
   * ```ts
   * import { SystemSemaphore } from "qshm";
   *
   * using semaphore = SystemSemaphore.open("release-permit-example", { initial: 0 });
   * semaphore.release(2);
   * console.assert(semaphore.available === 2);
   * ```
   */
  release(count = 1): void {
    const handle = this.#attachment.handle("release");
    checkInteger("Count", count, 1, MOST_PERMITS);
    const result = library().qshm_post(handle, count);
    if (result === ARGUMENT) {
      const max = library().qshm_permits_max(handle);
      throw new RangeError(`Cannot release ${count} of ${this.#attachment.subject}: there would be more than its max, ${max}`);
    }
    this.#check(result, "release");
  }

  /**
   * Detaches, and gives back what this object holds; the last one to do so removes the semaphore, unless it is persistent.
   * Doing so again is nothing.
   */
  close(): void {
    this.#waiters.close();
    this.#attachment.detach();
  }

  /** Detaches. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** With `queue`, `undefined` means that this attachment has its place in the queue. */
  #take(count: number, queue: boolean): Permit | undefined {
    const handle = this.#attachment.handle("acquire");
    if (this.#check(library().qshm_acquire(handle, count, queue ? 1 : 0), "acquire") !== TAKEN) return undefined;
    return new HeldPermit(count, (consume) => {
      if (!this.#attachment.isAttached) return; // it has come back by that
      const { qshm_consume, qshm_give_back } = library();
      const handle = this.#attachment.handle("release");
      this.#check(consume ? qshm_consume(handle, count) : qshm_give_back(handle, count), "release");
      this.#waiters.advance();
    });
  }

  #checkCount(count: number, operation: string): void {
    const max = library().qshm_permits_max(this.#attachment.handle(operation));
    checkInteger("Count", count, 1, this.#check(max, operation));
  }

  #check(result: number, operation: string): number {
    if (result >= 0) return result;
    const pid = result === BUSY ? changeFunctions().qshm_busy_process(this.#attachment.handle(operation)) : undefined;
    throw this.#attachment.error(result, operation, undefined, pid);
  }
}
