/**
 * The lock of a segment, as one attachment sees it. Ownership belongs to the attachment: tasks of this process that
 * want it queue up.
 *
 * @module
 */

import { native } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import type { Attachment } from "./attachment.ts";
import { timeoutError } from "./errors.ts";
import type { Wait } from "./wait.ts";
import { WaitQueue } from "./wait_queue.ts";

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
  readonly #waiters: WaitQueue<void, Lock>;
  #held: HeldLock | undefined;

  constructor(attachment: Attachment) {
    this.#attachment = attachment;
    this.#waiters = new WaitQueue(attachment, {
      what: `the lock of ${attachment.subject}`,
      isBlocked: () => this.#held !== undefined,
      attempt: () => this.#result(library().qshm_poll_lock(attachment.handle("lock"))),
      cancel: () => void library().qshm_cancel_lock(attachment.handle("lock")),
    });
  }

  /** Takes the lock if it is free and no task of this attachment is before us. */
  tryLock(): Lock | undefined {
    const handle = this.#attachment.handle("lock");
    return this.#held === undefined && this.#waiters.isEmpty
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
    return lock !== undefined ? Promise.resolve(lock) : this.#waiters.add(undefined, wait);
  }

  /** Ends a lock: at most once, and only if it is this attachment's still. */
  unlock(lock: HeldLock): void {
    if (this.#held !== lock) return;
    this.#held = undefined;
    if (!this.#attachment.isAttached) return; // the process is ending: its exit hook has freed everything
    const result = library().qshm_unlock(this.#attachment.handle("unlock"));
    this.#waiters.advance();
    if (result === LOCK_LOST) {
      throw this.#attachment.error(result, "unlock", "it was taken away by forceUnlock()");
    }
    if (result < 0) throw this.#attachment.error(result, "unlock");
  }

  /** Rejects all who wait; for detach. */
  close(): void {
    this.#held = undefined;
    this.#waiters.close();
  }

  /** What a result of the library means: a lock, none, or an error. */
  #result(result: number): Lock | undefined {
    if (result === 0) return undefined;
    if (result < 0) throw this.#attachment.error(result, "lock");
    return this.#held = new HeldLock(this, result === TAKEN_DIED);
  }
}
