/**
 * Named shared memory.
 *
 * @module
 */

import { native } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { Attachment } from "./attachment.ts";
import { changeFunctions } from "./bell.ts";
import { Changes } from "./change.ts";
import { type ChangesOptions, follow } from "./changes.ts";
import { AlreadyExistsError, NotFoundError, timeoutError } from "./errors.ts";
import { checkLife, type LifeOptions, type PlaceOptions, undefinedFor } from "./life.ts";
import { type Lock, LockQueue } from "./lock.ts";
import { identityOf, PROCESS_SIZE, type ProcessInfo, readProcess } from "./process_info.ts";
import { checkBoolean, checkBytes, checkInteger, checkOptions, checkSize } from "./validate.ts";
import { checkSyncWait, checkWait, type SyncWaitOptions, type WaitOptions } from "./wait.ts";

/** How to attach. */
export interface AttachOptions extends PlaceOptions {
  /** Write methods throw, and `data` is a private copy-on-write view. Default: `false`. */
  readOnly?: boolean;
}

let memoryFunctions: Group<"memory"> | undefined;
let lockFunctions: Group<"lock"> | undefined;

function copying(): Group<"memory"> {
  return memoryFunctions ??= native("memory");
}

function locking(): Group<"lock"> {
  return lockFunctions ??= native("lock");
}

const MOST_REVISION = 2 ** 31 - 1;
const ATTACH_OPTIONS = ["directory", "readOnly"] as const;

/**
 * Bytes with a name, shared by all processes of this user that use the name: in Deno, Bun, Node and C.
 *
 * The first creates, others attach; the last to detach removes it. A process that crashes detaches by that: nobody has
 * to clean up, see `recovered`. An object stays attached until {@linkcode SharedMemory.detach}, the end of a `using`
 * block, or the end of the process; that the variable is gone detaches nothing.
 *
 * @example Two attachments see the same bytes
 * ```ts
 * import { SharedMemory } from "qshm";
 *
 * using writer = SharedMemory.create("class-example", 1024);
 * using reader = SharedMemory.attach("class-example");
 * writer.write(new TextEncoder().encode("hello"));
 * console.assert(new TextDecoder().decode(reader.read(0, 5)) === "hello");
 * ```
 */
export class SharedMemory implements Disposable {
  readonly #attachment: Attachment;
  readonly #lock: LockQueue;
  readonly #changes: Changes;

  private constructor(attachment: Attachment) {
    this.#attachment = attachment;
    this.#lock = new LockQueue(attachment);
    this.#changes = new Changes(attachment);
  }

  /**
   * Creates a segment, zeroed, and attaches to it.
   *
   * @param key Any text without NUL.
   * @param size Bytes, at least 1. They are reserved at once.
   * @param options Where it is, whether it persists, who may open it.
   * @returns The attachment.
   * @throws {AlreadyExistsError} The name is in use or persistent.
   * @throws {OutOfResourcesError} There is no room for it.
   * @throws {PermissionDeniedError} The directory, or what stands at the name, is not safe to use.
   * @throws {IncompatibleError} The name is used by another version of qshm.
   * @throws {BusyError} A stopped process holds the name's internal lock; named by its pid after one second.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("create-example", 16);
   * console.assert(memory.size === 16 && memory.created);
   * ```
   */
  static create(key: string, size: number, options?: LifeOptions): SharedMemory {
    const { directory, mode, persistent } = checkLife(options);
    return new SharedMemory(
      new Attachment({ kind: "memory", operation: "create", key, size: checkSize(size), directory, mode, persistent }),
    );
  }

  /**
   * As {@linkcode SharedMemory.create}, but gives `undefined` where that throws {@linkcode AlreadyExistsError}: Qt's
   * idiom for a program that is to run once.
   *
   * @param key Any text without NUL.
   * @param size Bytes, at least 1.
   * @param options Where it is, whether it persists, who may open it.
   * @returns The attachment, or `undefined` if the name is taken.
   *
   * @example Run once
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using first = SharedMemory.tryCreate("try-create-example", 1);
   * const second = SharedMemory.tryCreate("try-create-example", 1);
   * console.assert(first !== undefined && second === undefined);
   * ```
   */
  static tryCreate(key: string, size: number, options?: LifeOptions): SharedMemory | undefined {
    return undefinedFor(AlreadyExistsError, () => SharedMemory.create(key, size, options));
  }

  /**
   * Attaches to a segment that somebody uses, or that persists.
   *
   * @param key The creator's key.
   * @param options Where it is, and whether only to read.
   * @returns The attachment.
   * @throws {NotFoundError} There is none, or all who used it are gone.
   * @throws {IncompatibleError} It was made by another version of qshm, or is damaged, and is in use.
   * @throws {PermissionDeniedError} The directory, or what stands at the name, is not safe to use.
   * @throws {BusyError} A stopped process holds the name's internal lock; named by its pid after one second.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using creator = SharedMemory.create("attach-example", 8);
   * using reader = SharedMemory.attach("attach-example", { readOnly: true });
   * console.assert(reader.size === creator.size && !reader.created);
   * ```
   */
  static attach(key: string, options?: AttachOptions): SharedMemory {
    const { directory, readOnly } = checkOptions(options, ATTACH_OPTIONS);
    return new SharedMemory(
      new Attachment({
        kind: "memory",
        operation: "attach",
        key,
        size: 0,
        directory,
        readOnly: checkBoolean("ReadOnly", readOnly, false),
      }),
    );
  }

  /**
   * As {@linkcode SharedMemory.attach}, but gives `undefined` where that throws {@linkcode NotFoundError}.
   *
   * @param key The creator's key.
   * @param options Where it is, and whether only to read.
   * @returns The attachment, or `undefined` if there is nothing to attach to.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * console.assert(SharedMemory.tryAttach("try-attach-example") === undefined);
   * ```
   */
  static tryAttach(key: string, options?: AttachOptions): SharedMemory | undefined {
    return undefinedFor(NotFoundError, () => SharedMemory.attach(key, options));
  }

  /**
   * Attaches, or creates if there is nothing to attach to, without a race between the two.
   *
   * @param key Any text without NUL.
   * @param size Bytes, at least 1.
   * @param options Where it is, whether it persists, who may open it; an existing segment keeps its own.
   * @returns The attachment; `created` says which it was.
   * @throws {SizeMismatchError} It exists with another size.
   * @throws {OutOfResourcesError} There is no room for it.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using one = SharedMemory.open("open-example", 64);
   * using two = SharedMemory.open("open-example", 64);
   * console.assert(one.created && !two.created);
   * ```
   */
  static open(key: string, size: number, options?: LifeOptions): SharedMemory {
    const { directory, mode, persistent } = checkLife(options);
    return new SharedMemory(
      new Attachment({ kind: "memory", operation: "open", key, size: checkSize(size), directory, mode, persistent }),
    );
  }

  /** The key, as given. */
  get key(): string {
    return this.#attachment.key;
  }

  /** The path of the segment's file. */
  get path(): string {
    return this.#attachment.path;
  }

  /** Bytes; 0 after detach. */
  get size(): number {
    return this.#attachment.size;
  }

  /** Was it attached with `readOnly`? */
  get readOnly(): boolean {
    return this.#attachment.readOnly;
  }

  /** Did this object create the segment? */
  get created(): boolean {
    return this.#attachment.created;
  }

  /** Had a former user ended without detaching, so that this object cleaned up after it? */
  get recovered(): boolean {
    return this.#attachment.recovered;
  }

  /** Is it still attached? */
  get isAttached(): boolean {
    return this.#attachment.isAttached;
  }

  /**
   * The bytes themselves, without a copy: what one process stores here the others see. It takes no lock and tells
   * nobody. Every access gives the same array; after detach it is empty. With `readOnly` it is a private view: what is
   * stored in it stays here, and the 4 KiB page around it no longer follows the segment. Needs unscoped `--allow-ffi`
   * in Deno.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("data-example", 8);
   * const counters = new Uint32Array(memory.data.buffer);
   * Atomics.add(counters, 0, 1);
   * console.assert(memory.read(0, 1)[0] === 1);
   * ```
   */
  get data(): Uint8Array<ArrayBuffer> {
    return this.#attachment.data;
  }

  /**
   * Copies bytes out. Takes no lock.
   *
   * @param offset Where to begin. Default: 0.
   * @param length How many. Default: the rest.
   * @returns The copy.
   * @throws {RangeError} The range is not inside.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("read-example", 4);
   * memory.write(Uint8Array.of(1, 2, 3, 4));
   * console.assert(memory.read(1, 2).join() === "2,3");
   * ```
   */
  read(offset = 0, length?: number): Uint8Array<ArrayBuffer> {
    const handle = this.#attachment.handle("read");
    this.#checkRange(offset, length === undefined ? 0 : length);
    const copy = new Uint8Array(length === undefined ? this.size - offset : length);
    this.#check(copying().qshm_read(handle, offset, copy, copy.length), "read");
    return copy;
  }

  /**
   * Copies bytes into an array of yours: as many as it takes, or as there are. Takes no lock.
   *
   * @param target Where they go.
   * @param offset Where to begin in the segment. Default: 0.
   * @returns How many were copied.
   * @throws {RangeError} The offset is not inside.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("read-into-example", 4);
   * console.assert(memory.readInto(new Uint8Array(100), 1) === 3);
   * ```
   */
  readInto(target: Uint8Array, offset = 0): number {
    const handle = this.#attachment.handle("read");
    const capacity = checkBytes("Target", target);
    this.#checkRange(offset, 0);
    const length = Math.min(capacity, this.size - offset);
    this.#check(copying().qshm_read(handle, offset, target, length), "read");
    return length;
  }

  /**
   * Copies bytes in, and tells those who wait for a change. Takes no lock: hold one if a reader must not see half.
   *
   * @param bytes What to copy.
   * @param offset Where to. Default: 0.
   * @throws {RangeError} The range is not inside.
   * @throws {TypeError} Attached with `readOnly`.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("write-example", 4);
   * const before = memory.revision;
   * memory.write(Uint8Array.of(7), 3);
   * console.assert(memory.read().join() === "0,0,0,7" && memory.revision !== before);
   * ```
   */
  write(bytes: Uint8Array, offset = 0): void {
    const handle = this.#attachment.handle("write");
    const length = this.#checkWrite(bytes, offset);
    this.#check(copying().qshm_write(handle, offset, bytes, length), "write");
  }

  /**
   * As {@linkcode SharedMemory.write}, but only if the bytes differ from those there. Hold the lock if there are
   * several writers.
   *
   * @param bytes What to copy.
   * @param offset Where to. Default: 0.
   * @returns Did it write?
   * @throws {RangeError} The range is not inside.
   * @throws {TypeError} Attached with `readOnly`.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("write-if-changed-example", 4);
   * console.assert(memory.writeIfChanged(Uint8Array.of(1)) === true);
   * console.assert(memory.writeIfChanged(Uint8Array.of(1)) === false);
   * ```
   */
  writeIfChanged(bytes: Uint8Array, offset = 0): boolean {
    const handle = this.#attachment.handle("write");
    const length = this.#checkWrite(bytes, offset);
    return this.#check(copying().qshm_write_if_changed(handle, offset, bytes, length), "write") === 1;
  }

  /**
   * Waits for the segment's lock without blocking. One process holds it at a time, in this process one task; waiting
   * tasks of one attachment get it in order. An owner that dies, even by `kill -9`, loses it to the next.
   *
   * @param options How to wait. By default without a limit.
   * @returns The lock; free it with `unlock()` or `using`.
   * @throws {DOMException} `TimeoutError`: time is up; `AbortError`: detached meanwhile; or the signal's reason.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("lock-example", 4);
   * {
   *   using lock = await memory.lock({ timeout: 1000 });
   *   console.assert(!lock.ownerDied);
   *   memory.write(Uint8Array.of(1, 2, 3, 4));
   * }
   * console.assert(memory.lockOwner === undefined);
   * ```
   */
  lock(options?: WaitOptions): Promise<Lock> {
    try {
      return this.#lock.lock(checkWait(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Takes the lock if it is free, or its owner is dead.
   *
   * @returns The lock, or `undefined` if somebody has it, or waits for it in this object.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("try-lock-example", 4);
   * using lock = memory.tryLock();
   * console.assert(lock !== undefined && memory.tryLock() === undefined);
   * ```
   */
  tryLock(): Lock | undefined {
    return this.#lock.tryLock();
  }

  /**
   * Waits for the lock and blocks the thread meanwhile.
   *
   * @param options How long to wait. By default without a limit.
   * @returns The lock.
   * @throws {DOMException} `TimeoutError`: time is up.
   * @throws {LockError} This thread has the lock itself, so the wait could never end.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("lock-sync-example", 4);
   * using _lock = memory.lockSync({ timeout: 100 });
   * console.assert(memory.lockOwner?.pid === process.pid);
   * ```
   */
  lockSync(options?: SyncWaitOptions): Lock {
    return this.#lock.lockSync(checkSyncWait(options));
  }

  /** Who holds the lock: `undefined` if it is free. */
  get lockOwner(): ProcessInfo | undefined {
    const process = new Uint8Array(PROCESS_SIZE);
    const result = locking().qshm_lock_owner(this.#attachment.handle("ask for the lock of"), process);
    return this.#check(result, "ask for the lock of") === 1 ? readProcess(process) : undefined;
  }

  /**
   * Takes the lock away from its owner, which may hang or be stopped. The owner's `unlock()` then throws, and the next
   * owner is told by `ownerDied`.
   *
   * @param expected As read from `lockOwner`: frees only that owner. Default: whoever has it.
   * @returns From whom it was taken, or `undefined` if it was free, or another had it.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("force-unlock-example", 4);
   * memory.lockSync();
   * const owner = memory.lockOwner;
   * console.assert(memory.forceUnlock(owner)?.pid === process.pid);
   * console.assert(memory.forceUnlock() === undefined);
   * ```
   */
  forceUnlock(expected?: ProcessInfo): ProcessInfo | undefined {
    const handle = this.#attachment.handle("unlock");
    let id = 0;
    if (expected !== undefined) {
      const identity = identityOf(expected);
      if (identity === undefined) throw new TypeError("Expected must be a ProcessInfo as read from lockOwner");
      const owner = this.lockOwner;
      if (owner === undefined || identityOf(owner)?.segment !== identity.segment) return undefined;
      id = identity.id;
    }
    const process = new Uint8Array(PROCESS_SIZE);
    const result = locking().qshm_force_unlock(handle, id, process);
    return this.#check(result, "unlock") === 1 ? readProcess(process) : undefined;
  }

  /** Counts the changes: 0 to 2^31-1, then it wraps, so compare for equality only. */
  get revision(): number {
    const result = changeFunctions().qshm_revision(this.#attachment.handle("read"));
    return this.#check(result, "read");
  }

  /**
   * Counts one more change, and wakes all who wait for one: after writing through {@linkcode SharedMemory.data}. The
   * write methods do so by themselves.
   *
   * @throws {TypeError} Attached with `readOnly`.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("notify-example", 4);
   * const before = memory.revision;
   * memory.data[0] = 1;
   * memory.notify();
   * console.assert(memory.revision !== before);
   * ```
   */
  notify(): void {
    const handle = this.#attachment.handle("notify");
    if (this.readOnly) throw new TypeError(`Cannot notify ${this.#attachment.subject}: it is attached read-only`);
    this.#check(changeFunctions().qshm_notify(handle), "notify");
  }

  /**
   * Waits, without blocking, until the revision is another one. Several changes may be seen as one, and none is missed: if
   * it came between reading and waiting, this resolves at once.
   *
   * @param since The revision that is known.
   * @param options How to wait. By default without a limit.
   * @returns The revision now.
   * @throws {DOMException} `TimeoutError`: time is up; `AbortError`: detached meanwhile; or the signal's reason.
   *
   * @example A reader that is woken
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("wait-for-change-example", 4);
   * const change = memory.waitForChange(memory.revision, { timeout: 1000 });
   * memory.write(Uint8Array.of(1)); // in another process
   * console.assert(await change === memory.revision);
   * ```
   */
  waitForChange(since: number, options?: WaitOptions): Promise<number> {
    try {
      this.#attachment.handle("wait for");
      checkInteger("Since", since, 0, MOST_REVISION);
      const look = (): number | undefined => this.revision === since ? undefined : this.revision;
      return this.#changes.wait(look, checkWait(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * As {@linkcode SharedMemory.waitForChange}, but blocks the thread.
   *
   * @param since The revision that is known.
   * @param options How long to wait. By default without a limit.
   * @returns The revision now.
   * @throws {DOMException} `TimeoutError`: time is up.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("wait-for-change-sync-example", 4);
   * const before = memory.revision;
   * memory.notify();
   * console.assert(memory.waitForChangeSync(before) === memory.revision);
   * ```
   */
  waitForChangeSync(since: number, options?: SyncWaitOptions): number {
    const handle = this.#attachment.handle("wait for");
    checkInteger("Since", since, 0, MOST_REVISION);
    const timeout = checkSyncWait(options);
    const revision = this.#check(changeFunctions().qshm_wait_change(handle, since, timeout), "wait for");
    if (revision === since) throw timeoutError(`a change of ${this.#attachment.subject}`, timeout);
    return revision;
  }

  /**
   * Follows the changes from now on, those by this object included. Several may be seen as one, and the last is never
   * missed. It ends when the loop is left, the signal aborts, or the memory is detached.
   *
   * @param options `initial`: begin with the revision now; `signal`; `ref: false` lets the process end meanwhile.
   * @returns An iterator of revisions.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * using memory = SharedMemory.create("changes-example", 4);
   * const changes = memory.changes();
   * memory.write(Uint8Array.of(42)); // in another process
   * for await (const _revision of changes) {
   *   console.assert(memory.read(0, 1)[0] === 42);
   *   break;
   * }
   * ```
   */
  changes(options?: ChangesOptions): AsyncIterableIterator<number> {
    this.#attachment.handle("follow");
    const now = (): number => this.revision;
    return follow(options, this.#changes, now, () => {
      const revision = now();
      return { count: revision, value: revision };
    });
  }

  /**
   * Ends the attachment: frees a lock that it holds, rejects its waits, empties every view, and removes the segment if
   * this was its last user and it is not persistent.
   *
   * @returns `false` if it had ended before.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * const memory = SharedMemory.create("detach-example", 4);
   * const { data } = memory;
   * console.assert(memory.detach() && data.length === 0);
   * console.assert(!memory.detach());
   * ```
   */
  detach(): boolean {
    this.#lock.close();
    this.#changes.close();
    return this.#attachment.detach();
  }

  /**
   * Detaches and gives the last contents.
   *
   * @returns A copy of the bytes.
   *
   * @example Usage
   * ```ts
   * import { SharedMemory } from "qshm";
   *
   * const memory = SharedMemory.create("release-example", 2);
   * memory.write(Uint8Array.of(4, 2));
   * console.assert(memory.release().join() === "4,2" && !memory.isAttached);
   * ```
   */
  release(): Uint8Array<ArrayBuffer> {
    const contents = this.read();
    this.detach();
    return contents;
  }

  /** Detaches. */
  [Symbol.dispose](): void {
    this.detach();
  }

  #checkRange(offset: number, length: number): void {
    checkInteger("Offset", offset, 0, this.size);
    checkInteger("Length", length, 0, this.size - offset);
  }

  /** Gives how many bytes there are to write. */
  #checkWrite(bytes: Uint8Array, offset: number): number {
    if (this.readOnly) throw new TypeError(`Cannot write ${this.#attachment.subject}: it is attached read-only`);
    const length = checkBytes("Bytes", bytes);
    this.#checkRange(offset, length);
    return length;
  }

  #check(result: number, operation: string): number {
    if (result < 0) throw this.#attachment.error(result, operation);
    return result;
  }
}
