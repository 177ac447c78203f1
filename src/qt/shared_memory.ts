/**
 * Qt's `QSharedMemory`.
 *
 * @module
 */

import { QDataStream } from "../data_stream/mod.ts";
import { checkBoolean, checkBytes, checkInteger, checkOptions, checkTimeout, describe } from "../validate.ts";
import { checkWait, type WaitOptions } from "../wait.ts";
import { atEnd } from "./cleanup.ts";
import { Companion, type DataChangedOptions, followChanges, Listeners } from "./data_changed.ts";
import { DONE, TIMED_OUT } from "./library.ts";
import { legacyKey, NativeKeyError, nativeKey, type NativeKey, NO_KEY, writtenForm } from "./native_key.ts";
import { Segment } from "./segment.ts";
import { type Problem, Status } from "./status.ts";
import { Turns } from "./turns.ts";

const ERRORS = {
  NoError: 0,
  PermissionDenied: 1,
  InvalidSize: 2,
  KeyError: 3,
  AlreadyExists: 4,
  NotFound: 5,
  LockError: 6,
  OutOfResources: 7,
  UnknownError: 8,
} as const satisfies Record<Problem, number>;

const READ_ONLY = 0;
const READ_WRITE = 1;

/** How to add a listener; as for events of the web. */
export interface ListenerOptions {
  /** Only for the next change. Default: `false`. */
  once?: boolean;
  /** Aborting takes the listener away. */
  signal?: AbortSignal;
}

/** How to remove. */
export interface RemoveOptions {
  /** Also if other processes are attached: those keep the memory, but nobody finds it any more. Default: `false`. */
  force?: boolean;
}

/**
 * Qt's `QSharedMemory`: bytes with a name, shared with C++ Qt programs (5.15 and 6) of this user that use the same key and
 * the same `TMPDIR`. Members, enumerators, booleans and sticky errors are Qt's; what Qt does not have is marked so.
 *
 * The objects are System V's, found by legacy keys (`setKey`) or by native keys of type System V. An object stays
 * attached until it is detached, disposed of, or the process ends; the last one out removes everything.
 *
 * @example A C++ program's string
 * ```ts
 * import { QDataStream, QSharedMemory } from "qshm/qt";
 *
 * using memory = new QSharedMemory("qshared-memory-example");
 * if (!memory.create(1024) && !memory.attach()) throw new Error(memory.errorString());
 * memory.lock();
 * const stream = new QDataStream(memory.constData()!);
 * const text = stream.readQString();
 * memory.unlock();
 * console.assert(text === "");
 * ```
 */
export class QSharedMemory implements Disposable {
  /** AccessMode: writing is not possible. */
  static readonly ReadOnly: 0 = READ_ONLY;
  /** AccessMode: the default. */
  static readonly ReadWrite: 1 = READ_WRITE;
  /** SharedMemoryError: nothing has gone wrong. */
  static readonly NoError: 0 = ERRORS.NoError;
  /** SharedMemoryError: it belongs to another user. */
  static readonly PermissionDenied: 1 = ERRORS.PermissionDenied;
  /** SharedMemoryError: the size is less than 1, or more than the system allows. */
  static readonly InvalidSize: 2 = ERRORS.InvalidSize;
  /** SharedMemoryError: the key is empty, or no file can be made for it. */
  static readonly KeyError: 3 = ERRORS.KeyError;
  /** SharedMemoryError: somebody uses it already. */
  static readonly AlreadyExists: 4 = ERRORS.AlreadyExists;
  /** SharedMemoryError: there is none of this key. */
  static readonly NotFound: 5 = ERRORS.NotFound;
  /** SharedMemoryError: it could not be locked. */
  static readonly LockError: 6 = ERRORS.LockError;
  /** SharedMemoryError: a limit of the system's is reached. */
  static readonly OutOfResources: 7 = ERRORS.OutOfResources;
  /** SharedMemoryError: something else. */
  static readonly UnknownError: 8 = ERRORS.UnknownError;

  readonly #status = new Status("QSharedMemory");
  readonly #turns = new Turns(() => this.#tryTurn());
  readonly #listeners = new Listeners((signal) => this.dataChanged({ signal }));
  #key: NativeKey = NO_KEY;
  #segment: Segment | undefined;
  #companion: Companion | undefined;
  #isReadOnly = false;
  #recovered = false;
  #holds = false;
  /** Was anything tried with this key? Before that there is no lock. */
  #isKeyInUse = false;

  /**
   * Makes an object; touches nothing of the system's.
   *
   * @param key The legacy key, as `setKey` takes it. Default: none.
   *
   * @example Usage
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * const memory = new QSharedMemory("constructor-example");
   * console.assert(memory.key() === "constructor-example" && !memory.isAttached());
   * ```
   */
  constructor(key?: string) {
    if (key !== undefined) this.setKey(key);
  }

  /**
   * Takes another key; detaches first.
   *
   * @param key Any text; `""`: none. Of more than 197 letters no file can be made: `create` and `attach` give `KeyError`.
   */
  setKey(key: string): void {
    this.#setNativeKey(legacyKey("memory", key));
  }

  /** The legacy key; `""` if there is none. */
  key(): string {
    return this.#key.legacy;
  }

  /**
   * Takes a native key; detaches first. Its lock is that of Qt 6.6 and newer: a semaphore of the same file, unless the key
   * has a legacy key. (Qt before 6.6 has no lock for native keys at all.)
   *
   * @param key A file's path, or Qt 6's written form: `"systemv:/path"`, `"systemv-84:/path"`, `"systemv:/path?legacyKey=key"`.
   * Keys of other types (`posix:`, `windows:`) are refused with `KeyError`.
   */
  setNativeKey(key: string): void {
    try {
      this.#setNativeKey(nativeKey("memory", key));
    } catch (error) {
      if (!(error instanceof NativeKeyError)) throw error;
      this.#setNativeKey(NO_KEY);
      this.#status.set("setNativeKey", "KeyError", error.message);
    }
  }

  #setNativeKey(key: NativeKey): void {
    this[Symbol.dispose]();
    this.#key = key;
    this.#status.clear();
  }

  /** The path of the file that the segment is found by; `""` without a key. */
  nativeKey(): string {
    return this.#key.path;
  }

  /** The key in the written form that Qt 6.6's `QNativeIpcKey::fromString()` reads, such as `"systemv:/tmp/...?legacyKey=key"`. */
  nativeIpcKey(): string {
    return writtenForm(this.#key);
  }

  /**
   * Makes a segment, zeroed, and attaches to it. What a crash has left behind of this key is removed first (see
   * `recovered`); in Qt it blocks the key for ever.
   *
   * @param size Bytes, at least 1.
   * @param mode `QSharedMemory.ReadWrite` or `ReadOnly`.
   * @param timeout Beyond Qt: milliseconds to wait for the lock; then `LockError`. Default: `Infinity`.
   * @returns `false`: see `error`. `AlreadyExists` is found without waiting for anybody.
   *
   * @example A single instance, as Qt programs do it
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * using first = new QSharedMemory("create-example");
   * using second = new QSharedMemory("create-example");
   * console.assert(first.create(1) && !second.create(1));
   * console.assert(second.error() === QSharedMemory.AlreadyExists);
   * ```
   */
  create(size: number, mode: number = READ_WRITE, timeout?: number): boolean {
    if (typeof size !== "number") throw new TypeError(`Size must be a number: got ${describe(size)}`);
    if (!Number.isSafeInteger(size)) throw new RangeError(`Size must be a whole number: got ${size}`);
    const readOnly = checkMode(mode) === READ_ONLY;
    const wait = checkTimeout(timeout);
    if (!this.#hasKey("create")) return false;
    if (size < 1) return this.#status.set("create", "InvalidSize", "it has to be at least 1");
    if (this.isAttached()) return this.#status.set("create", "AlreadyExists", "this object is attached");
    return this.#attached("create", this.#open().create(size, readOnly, wait), readOnly);
  }

  /**
   * Attaches to a segment. To one that a crash has left behind as well, so that its contents can be saved; the last one out
   * removes it.
   *
   * @param mode `QSharedMemory.ReadWrite` or `ReadOnly`.
   * @param timeout Beyond Qt: milliseconds to wait for the lock; then `LockError`. Default: `Infinity`.
   * @returns `false`: see `error`; if this object is attached already, that stays as it was.
   */
  attach(mode: number = READ_WRITE, timeout?: number): boolean {
    const readOnly = checkMode(mode) === READ_ONLY;
    const wait = checkTimeout(timeout);
    if (this.isAttached() || !this.#hasKey("attach")) return false;
    return this.#attached("attach", this.#open().attach(readOnly, wait), readOnly);
  }

  #attached(method: string, result: number, readOnly: boolean): boolean {
    this.#holds = false; // Qt's too gives it back
    this.#turns.advance();
    if (result !== DONE) return this.#status.setResult(method, result, true);
    this.#isReadOnly = readOnly;
    this.#recovered = this.#segment!.wasLeftBehind;
    this.#companion = new Companion(this.#key);
    if (method === "create" || this.#recovered) this.#companion.remove(); // nobody else is attached
    this.#status.clear();
    this.#listeners.start();
    return true;
  }

  /** Is this object attached? */
  isAttached(): boolean {
    return this.#segment?.isAttached ?? false;
  }

  /**
   * Ends the attachment, and with it every view of the bytes; frees a lock that this object holds. Otherwise it waits for the lock.
   *
   * @param timeout Beyond Qt: milliseconds to wait for the lock; then `LockError`, and it stays attached. Default: `Infinity`.
   * @returns `false` if it was not attached, or see `error`.
   */
  detach(timeout?: number): boolean {
    const wait = checkTimeout(timeout);
    if (!this.isAttached()) return false;
    const result = this.#segment!.detach(wait);
    if (result !== DONE) return this.#status.setResult("detach", result, true);
    this.#leave();
    return true;
  }

  /** What ends with an attachment, beside the segment's. */
  #leave(): void {
    if (this.#holds) this.#companion?.ring();
    this.#holds = false;
    this.#listeners.stop();
    this.#companion?.close();
    this.#companion = undefined;
    this.#turns.advance();
  }

  /** Bytes, exactly as many as were asked for; 0 while not attached. */
  size(): number {
    return this.#segment?.size ?? 0;
  }

  /**
   * The bytes; `null` while not attached. The memory itself, without a copy, so hold the lock. Attached `ReadOnly`: a fresh copy
   * at each call (writing to it crashes in Qt). Needs `--allow-ffi` without a path in Deno; `read` and `write` do not.
   */
  data(): Uint8Array<ArrayBuffer> | null {
    if (!this.isAttached()) return null;
    return this.#isReadOnly ? this.#segment!.read(0, this.size()) : this.#segment!.view;
  }

  /** As `data`; Qt's compiler would keep you from writing to it. */
  constData(): Uint8Array<ArrayBuffer> | null {
    return this.data();
  }

  /**
   * Waits for the lock that all programs of this key share, and blocks the thread meanwhile. The kernel frees it when its
   * owner dies. One object holds it once: to lock again changes nothing.
   *
   * @param timeout Beyond Qt: milliseconds. Default: `Infinity`.
   * @returns `false`: see `error`; `LockError` also when time is up, or if another object of this thread has it, so that the wait
   * could never end (Qt waits for ever).
   */
  lock(timeout?: number): boolean {
    const wait = checkTimeout(timeout);
    if (this.#holds) return true;
    return this.#taken("lock", this.#lockIsThere("lock") ? this.#open().lock(wait) : undefined);
  }

  /** Beyond Qt: takes the lock if it is free. `false` if it is not; that is no error. */
  tryLock(): boolean {
    if (this.#holds) return true;
    if (!this.#lockIsThere("tryLock")) return false;
    const result = this.#open().lock(0);
    return result === TIMED_OUT ? false : this.#taken("tryLock", result);
  }

  /**
   * Beyond Qt: waits for the lock without blocking. Tasks that wait for it through one object get it in order, each once the one
   * before has called `unlock`.
   *
   * @param options How to wait. By default without a limit.
   * @returns `false` if time is up, or see `error`; rejects with the reason of an aborted signal.
   *
   * @example Usage
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * using memory = new QSharedMemory("lock-async-example");
   * memory.create(16);
   * console.assert(await memory.lockAsync({ timeout: 1000 }) && memory.unlock());
   * ```
   */
  async lockAsync(options?: WaitOptions): Promise<boolean> {
    const wait = checkWait(options);
    if (!this.#lockIsThere("lockAsync")) return false;
    wait.signal?.throwIfAborted();
    const taken = await this.#turns.wait(wait);
    return taken ?? this.#status.setResult("lockAsync", TIMED_OUT, false);
  }

  /** One look of a task that waits. */
  #tryTurn(): boolean | undefined {
    if (this.#holds) return undefined;
    const result = this.#open().lock(0);
    return result === TIMED_OUT ? undefined : this.#taken("lockAsync", result);
  }

  #lockIsThere(method: string): boolean {
    return this.#isKeyInUse || this.#status.set(method, "LockError", "there is no lock before create() or attach()");
  }

  #taken(method: string, result: number | undefined): boolean {
    if (result === undefined) return false;
    this.#holds = result === DONE;
    return this.#holds || this.#status.setResult(method, result, false);
  }

  /**
   * Frees the lock. Programs that wait for `dataChanged` look whether something has changed.
   *
   * @returns `false` if this object did not hold it.
   */
  unlock(): boolean {
    if (!this.#holds) return false;
    this.#holds = false;
    const result = this.#segment!.unlock();
    this.#companion?.ring();
    this.#turns.advance();
    return result >= 0 || this.#status.setResult("unlock", result, false);
  }

  /**
   * Beyond Qt: takes the lock from whoever holds it, be it dead or stuck. What it protects may be half-written. If a Qt program
   * that held it goes on and unlocks, the lock is free twice until one of ours takes it, and mends that.
   *
   * @returns Was it held?
   */
  forceUnlock(): boolean {
    if (!this.#lockIsThere("forceUnlock")) return false;
    const result = this.#open().forceUnlock();
    if (result < 0) return this.#status.setResult("forceUnlock", result, false);
    if (result === 1) this.#holds = false;
    this.#turns.advance();
    return result === 1;
  }

  /** What went wrong last: `QSharedMemory.NoError` and others. It stays until a `create` or `attach` succeeds. */
  error(): number {
    return ERRORS[this.#status.problem];
  }

  /** The same in a sentence; `""` without an error. */
  errorString(): string {
    return this.#status.text;
  }

  /** Beyond Qt: had a crash left behind what `create` removed, or what `attach` attached to? */
  recovered(): boolean {
    return this.#recovered;
  }

  /**
   * Beyond Qt: detaches and gives the last contents.
   *
   * @returns A copy of the bytes; `null` if it was not attached.
   *
   * @example Usage
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * const memory = new QSharedMemory("release-example");
   * memory.create(2);
   * memory.data()!.set([4, 2]);
   * console.assert(memory.release()!.join() === "4,2" && !memory.isAttached());
   * ```
   */
  release(): Uint8Array<ArrayBuffer> | null {
    if (!this.isAttached()) return null;
    const contents = this.#segment!.read(0, this.size());
    this[Symbol.dispose]();
    return contents;
  }

  /**
   * Beyond Qt: removes the segment of a key, its lock and their files. Attachments of this process do not count as use.
   *
   * @param key A legacy key.
   * @param options Whether also to remove what other processes use.
   * @returns `false` if there was nothing, or another process uses it.
   *
   * @example Usage
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * console.assert(!QSharedMemory.remove("remove-example"));
   * ```
   */
  static remove(key: string, options?: RemoveOptions): boolean {
    const force = checkBoolean("Force", checkOptions(options, ["force"]).force, false);
    const named = legacyKey("memory", key);
    if (named === NO_KEY) return false;
    const segment = new Segment(named);
    try {
      const isRemoved = segment.remove(force, REMOVE_TIMEOUT) === DONE;
      new Companion(named).remove();
      return isRemoved;
    } finally {
      segment.close();
    }
  }

  /**
   * Beyond Qt: calls a function once, at the end of the process: when it ends by itself, by `exit()`, by an uncaught error, by
   * SIGINT, SIGTERM or SIGHUP. The signal then takes its course. The function must be synchronous.
   *
   * @param cleanup What to call; takes the place of the one before. `undefined`: nothing.
   */
  setCleanupFunction(cleanup: (() => void) | undefined): void {
    if (cleanup !== undefined && typeof cleanup !== "function") {
      throw new TypeError(`Cleanup must be a function: got ${describe(cleanup)}`);
    }
    atEnd(this, cleanup);
  }

  /**
   * Beyond Qt: copies bytes out. Takes no lock.
   *
   * @param offset Where to begin. Default: 0.
   * @param length How many. Default: the rest.
   * @returns The copy.
   */
  read(offset = 0, length?: number): Uint8Array<ArrayBuffer> {
    const segment = this.#attachedSegment("read");
    checkInteger("Offset", offset, 0, segment.size);
    const count = length ?? segment.size - offset;
    checkInteger("Length", count, 0, segment.size - offset);
    return segment.read(offset, count);
  }

  /**
   * Beyond Qt: copies bytes in, and tells those who wait for a change. Takes no lock.
   *
   * @param bytes What to copy.
   * @param offset Where to. Default: 0.
   */
  write(bytes: Uint8Array, offset = 0): void {
    const segment = this.#attachedSegment("write");
    const length = checkBytes("Bytes", bytes);
    if (this.#isReadOnly) throw new TypeError("Cannot write: it is attached ReadOnly");
    checkInteger("Offset", offset, 0, segment.size);
    checkInteger("Length", length, 0, segment.size - offset);
    segment.write(bytes, offset);
    this.#companion?.ring();
  }

  #attachedSegment(method: string): Segment {
    if (!this.isAttached()) throw new TypeError(`Cannot ${method} ${JSON.stringify(this.#key.legacy)}: it is not attached`);
    return this.#segment!;
  }

  /**
   * Beyond Qt: reads by a stream over a copy of the bytes, made under the lock.
   *
   * @param read Reads; gets a stream at the first byte.
   * @returns What `read` returns.
   * @throws {TypeError} Not attached, or it cannot be locked.
   *
   * @example Write once, read back
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * using memory = new QSharedMemory("stream-example");
   * memory.create(1024);
   * console.assert(memory.writeStreamIfChanged((stream) => stream.writeQString("hello")));
   * console.assert(!memory.writeStreamIfChanged((stream) => stream.writeQString("hello")));
   * console.assert(memory.readStream((stream) => stream.readQString()) === "hello");
   * ```
   */
  readStream<T>(read: (stream: QDataStream) => T): T {
    return read(new QDataStream(this.#locked("readStream", () => this.read())));
  }

  /**
   * Beyond Qt: writes by a stream to the beginning of the segment, under the lock. Nothing is written if it does not fit.
   *
   * @param write Writes to a stream of its own.
   * @returns Bytes written.
   * @throws {RangeError} It does not fit.
   * @throws {TypeError} Not attached, attached `ReadOnly`, or it cannot be locked.
   */
  writeStream(write: (stream: QDataStream) => void): number {
    const bytes = streamed(write);
    this.#locked("writeStream", () => this.write(bytes));
    return bytes.length;
  }

  /**
   * Beyond Qt: as `writeStream`, but only if the bytes differ from those there.
   *
   * @param write Writes to a stream of its own.
   * @returns Did it write?
   * @throws {RangeError} It does not fit.
   * @throws {TypeError} Not attached, attached `ReadOnly`, or it cannot be locked.
   */
  writeStreamIfChanged(write: (stream: QDataStream) => void): boolean {
    const bytes = streamed(write);
    return this.#locked("writeStreamIfChanged", () => {
      const isNew = bytes.length > this.size() || this.#segment!.refresh(bytes.slice());
      if (isNew) this.write(bytes);
      return isNew;
    });
  }

  /** Calls `f` under the lock; one that this object holds already stays held. */
  #locked<T>(method: string, f: () => T): T {
    this.#attachedSegment(method);
    const held = this.#holds;
    if (!this.lock()) throw new TypeError(`Cannot ${method}: ${this.errorString()}`);
    try {
      return f();
    } finally {
      if (!held) this.unlock();
    }
  }

  /**
   * Beyond Qt: follows the changes of the bytes from now on; several may be seen as one, and the last is never missed. Programs of
   * this package tell each other at once, by `unlock`, `write` and `writeStream`; changes by plain Qt programs are seen by
   * comparing. It ends when the loop is left, the signal aborts, or this object is detached.
   *
   * @param options How often to compare; `signal`; `ref: false` lets the process end meanwhile.
   * @returns An iterator that gives nothing but the news.
   * @throws {TypeError} Not attached.
   *
   * @example Usage
   * ```ts
   * import { QSharedMemory } from "qshm/qt";
   *
   * using writer = new QSharedMemory("data-changed-example");
   * using reader = new QSharedMemory("data-changed-example");
   * console.assert(writer.create(4) && reader.attach());
   * const changes = reader.dataChanged();
   * writer.write(Uint8Array.of(42)); // in another process
   * for await (const _ of changes) {
   *   console.assert(reader.read(0, 1)[0] === 42);
   *   break;
   * }
   * ```
   */
  dataChanged(options?: DataChangedOptions): AsyncIterableIterator<void> {
    return followChanges(this.#attachedSegment("follow"), this.#companion!, options);
  }

  /**
   * Beyond Qt: calls a listener at each change of the bytes while this object is attached; it keeps the process alive.
   *
   * @param type `"dataChanged"`.
   * @param listener What to call.
   * @param options `once`, `signal`.
   */
  addEventListener(type: "dataChanged", listener: (event: Event) => void, options?: ListenerOptions): void {
    checkType(type);
    if (typeof listener !== "function") throw new TypeError(`Listener must be a function: got ${describe(listener)}`);
    const { once, signal } = checkOptions(options, ["once", "signal"]);
    checkWait(signal === undefined ? {} : { signal });
    if (signal?.aborted) return;
    signal?.addEventListener("abort", () => this.#listeners.remove(listener), { once: true });
    this.#listeners.add(listener, checkBoolean("Once", once, false), this.isAttached());
  }

  /**
   * Beyond Qt: ends `addEventListener`.
   *
   * @param type `"dataChanged"`.
   * @param listener The same function.
   */
  removeEventListener(type: "dataChanged", listener: (event: Event) => void): void {
    checkType(type);
    this.#listeners.remove(listener);
  }

  /** Qt's destructor: detaches, and forgets the key's lock. The object can be used again. */
  [Symbol.dispose](): void {
    const isOpen = this.#segment !== undefined;
    this.#segment?.close();
    this.#segment = undefined;
    this.#isKeyInUse = false;
    if (isOpen) this.#leave();
  }

  #hasKey(method: string): boolean {
    return this.#key.path !== "" || this.#status.set(method, "KeyError", "the key is empty");
  }

  #open(): Segment {
    this.#isKeyInUse = true;
    return this.#segment ??= new Segment(this.#key);
  }
}

/** ms to wait for a lock before a removal is given up. */
const REMOVE_TIMEOUT = 1000;

function checkMode(mode: unknown): number {
  if (mode !== READ_ONLY && mode !== READ_WRITE) {
    throw new RangeError(`Mode must be QSharedMemory.ReadOnly (0) or QSharedMemory.ReadWrite (1): got ${String(mode)}`);
  }
  return mode;
}

function checkType(type: unknown): void {
  if (type !== "dataChanged") throw new TypeError(`Unknown event ${JSON.stringify(type)}: known is "dataChanged"`);
}

function streamed(write: (stream: QDataStream) => void): Uint8Array {
  const stream = new QDataStream();
  write(stream);
  return stream.bytes();
}
