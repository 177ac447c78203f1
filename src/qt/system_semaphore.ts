/**
 * Qt's `QSystemSemaphore`.
 *
 * @module
 */

import { errorOf } from "../errors.ts";
import { outcome } from "../outcome.ts";
import { checkInteger, checkTimeout } from "../validate.ts";
import { checkWait, type WaitOptions } from "../wait.ts";
import { noteClosed, noteOpen } from "./handles.ts";
import { DONE, library, TIMED_OUT } from "./library.ts";
import { legacyKey, nativeKey, type NativeKey, NativeKeyError, NO_KEY, writtenForm } from "./native_key.ts";
import { type Problem, Status } from "./status.ts";
import { Turns } from "./turns.ts";

const ERRORS: Readonly<Record<Problem, number>> = {
  NoError: 0,
  PermissionDenied: 1,
  KeyError: 2,
  AlreadyExists: 3,
  NotFound: 4,
  OutOfResources: 5,
  UnknownError: 6,
  LockError: 6,
  InvalidSize: 6,
};

const OPEN = 0;
const CREATE = 1;
/** SEMVMX */
const MOST = 32767;

/**
 * Qt's `QSystemSemaphore`: a count shared with C++ Qt programs (5.15 and 6) of this user that use the same key. Members,
 * enumerators, booleans and sticky errors are Qt's; what Qt does not have is marked so.
 *
 * As in Qt the kernel takes back, when a process ends, what it has acquired and also what it has released. So it protects
 * things; it does not carry messages between programs that end. For that there is `SystemSemaphore` in `qshm`.
 *
 * @example Usage
 * ```ts
 * import { QSystemSemaphore } from "qshm/qt";
 *
 * using semaphore = new QSystemSemaphore("semaphore-example", 1, QSystemSemaphore.Create);
 * console.assert(semaphore.acquire() && !semaphore.tryAcquire());
 * console.assert(semaphore.release());
 * ```
 */
export class QSystemSemaphore implements Disposable {
  /** AccessMode: takes one that exists as it is. */
  static readonly Open: 0 = OPEN;
  /** AccessMode: sets the value of one that exists, too. */
  static readonly Create: 1 = CREATE;
  /** SystemSemaphoreError: nothing has gone wrong. */
  static readonly NoError: 0 = 0;
  /** SystemSemaphoreError: it belongs to another user. */
  static readonly PermissionDenied: 1 = 1;
  /** SystemSemaphoreError: the key is empty, or no file can be made for it. */
  static readonly KeyError: 2 = 2;
  /** SystemSemaphoreError: somebody uses it already. */
  static readonly AlreadyExists: 3 = 3;
  /** SystemSemaphoreError: there is none of this key. */
  static readonly NotFound: 4 = 4;
  /** SystemSemaphoreError: a limit of the system's is reached. */
  static readonly OutOfResources: 5 = 5;
  /** SystemSemaphoreError: something else. */
  static readonly UnknownError: 6 = 6;

  readonly #status = new Status("QSystemSemaphore");
  readonly #turns = new Turns(() => this.#tryTurn());
  #key: NativeKey = NO_KEY;
  #handle = 0;

  /**
   * Opens the semaphore of a key, or makes it; see `error`.
   *
   * @param key A legacy key: a text. Of more than 200 letters no file can be made.
   * @param initialValue Of one that has to be made, or with `Create` of any: 0 to 32767. Default: 0.
   * @param mode `QSystemSemaphore.Open` or `Create`.
   */
  constructor(key: string, initialValue = 0, mode: number = OPEN) {
    this.setKey(key, initialValue, mode);
  }

  /**
   * Takes another key; leaves the one before as the destructor does.
   *
   * @param key A legacy key. The same as before with `Open`: nothing happens.
   * @param initialValue As in the constructor.
   * @param mode As in the constructor.
   */
  setKey(key: string, initialValue = 0, mode: number = OPEN): void {
    const next = legacyKey("semaphore", key);
    if (next.path === this.#key.path && next.path !== "" && mode === OPEN && this.#handle !== 0) return;
    this.#setNativeKey(next, initialValue, mode);
  }

  /** The legacy key; `""` if there is none. */
  key(): string {
    return this.#key.legacy;
  }

  /**
   * Takes a native key of type System V: see `QSharedMemory.setNativeKey`. Other types give `KeyError`.
   *
   * @param key A file's path, or Qt 6's written form.
   * @param initialValue As in the constructor.
   * @param mode As in the constructor.
   */
  setNativeKey(key: string, initialValue = 0, mode: number = OPEN): void {
    try {
      this.#setNativeKey(nativeKey("semaphore", key), initialValue, mode);
    } catch (error) {
      if (!(error instanceof NativeKeyError)) throw error;
      this[Symbol.dispose]();
      this.#key = NO_KEY;
      this.#status.set("setNativeKey", "KeyError", error.message);
    }
  }

  /** The key in the written form that Qt 6.6's `QNativeIpcKey::fromString()` reads. */
  nativeIpcKey(): string {
    return writtenForm(this.#key);
  }

  #setNativeKey(key: NativeKey, initialValue: number, mode: number): void {
    checkInteger("Initial value", initialValue, 0, MOST);
    if (mode !== OPEN && mode !== CREATE) {
      throw new RangeError(`Mode must be QSystemSemaphore.Open (0) or QSystemSemaphore.Create (1): got ${String(mode)}`);
    }
    this[Symbol.dispose]();
    this.#key = key;
    this.#status.clear();
    if (key.path === "") {
      this.#status.set("setKey", "KeyError", "the key is empty");
      return;
    }
    const file = new TextEncoder().encode(key.path);
    const handle = library().qshm_qt_semaphore(file, file.length, key.project, initialValue, mode, outcome);
    if (handle < 0) {
      this.#status.setResult("setKey", handle, true);
      return;
    }
    this.#handle = handle;
    noteOpen(this);
  }

  /**
   * Waits until the value is above 0, and takes 1; blocks the thread meanwhile.
   *
   * @param timeout Beyond Qt: milliseconds; then `false`, which is no error. Default: `Infinity`.
   * @returns `false`: see `error`.
   */
  acquire(timeout?: number): boolean {
    const wait = checkTimeout(timeout);
    return this.#acquired("acquire", this.#isOpen("acquire") ? library().qshm_qt_acquire(this.#handle, wait) : undefined);
  }

  /** Beyond Qt: takes 1 if the value is above 0. */
  tryAcquire(): boolean {
    return this.acquire(0);
  }

  /**
   * Beyond Qt: waits without blocking. Tasks that wait through one object get it in order.
   *
   * @param options How to wait. By default without a limit.
   * @returns `false` if time is up, or see `error`; rejects with the reason of an aborted signal.
   *
   * @example Usage
   * ```ts
   * import { QSystemSemaphore } from "qshm/qt";
   *
   * using semaphore = new QSystemSemaphore("acquire-async-example", 1);
   * console.assert(await semaphore.acquireAsync());
   * console.assert(await semaphore.acquireAsync({ timeout: 1 }) === false);
   * ```
   */
  async acquireAsync(options?: WaitOptions): Promise<boolean> {
    const wait = checkWait(options);
    if (!this.#isOpen("acquireAsync")) return false;
    return await this.#turns.wait(wait) ?? false;
  }

  #tryTurn(): boolean | undefined {
    if (!this.#isOpen("acquireAsync")) return false;
    const result = library().qshm_qt_acquire(this.#handle, 0);
    return result === TIMED_OUT ? undefined : this.#acquired("acquireAsync", result);
  }

  #acquired(method: string, result: number | undefined): boolean {
    if (result === undefined || result === TIMED_OUT) return false;
    return result === DONE || this.#status.setResult(method, result, false);
  }

  /**
   * Adds to the value. The kernel takes it back when this process ends, as in Qt.
   *
   * @param n How many. 0: nothing is done, and `true`; less: `false`. Default: 1.
   * @returns `false`: see `error`; `OutOfResources` beyond 32767.
   */
  release(n = 1): boolean {
    checkInteger("N", n, -(2 ** 31), 2 ** 31 - 1);
    if (n <= 0) return n === 0;
    if (!this.#isOpen("release")) return false;
    if (n > MOST) return this.#status.set("release", "OutOfResources", `a value is at most ${MOST}`);
    const result = library().qshm_qt_release(this.#handle, n);
    this.#turns.advance();
    return result === DONE || this.#status.setResult("release", result, false);
  }

  /** Beyond Qt: the value now; somebody may change it at any moment. */
  value(): number {
    if (!this.#isOpen("value")) return 0;
    const result = library().qshm_qt_value(this.#handle);
    if (result >= 0) return result;
    throw errorOf({ result, operation: "ask", key: this.#key.legacy, subject: "the semaphore for its value" });
  }

  /** What went wrong last: `QSystemSemaphore.NoError` and others. */
  error(): number {
    return ERRORS[this.#status.problem];
  }

  /** The same in a sentence; `""` without an error. */
  errorString(): string {
    return this.#status.text;
  }

  /** Qt's destructor: removes the semaphore if this object made it. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** As `[Symbol.dispose]`. */
  close(): void {
    if (this.#handle === 0) return;
    library().qshm_qt_close(this.#handle);
    this.#handle = 0;
    noteClosed(this);
  }

  #isOpen(method: string): boolean {
    return this.#handle !== 0 || this.#status.set(method, "KeyError", "no key was set, or it could not be opened");
  }
}
