/**
 * One key's segment and lock as the library has them: the handle, the view, and their end. What the results mean is
 * `shared_memory.ts`'s affair.
 *
 * @module
 */

import { errorOf } from "../errors.ts";
import { outcome, outcomeFlags, outcomeSize, RECOVERED } from "../outcome.ts";
import { emptyViews, viewOf } from "../view.ts";
import { noteClosed, noteOpen } from "./handles.ts";
import { DONE, library } from "./library.ts";
import type { NativeKey } from "./native_key.ts";

/** An object of the library's, for one key. */
export class Segment {
  readonly #subject: string;
  readonly #key: string;
  #handle: number;
  #view: Uint8Array<ArrayBuffer> | undefined;
  #size = 0;
  #isAttached = false;

  /** Touches nothing but the library's table. */
  constructor({ legacy, path, lockPath, project }: NativeKey) {
    this.#key = legacy || path;
    this.#subject = `Qt's shared memory ${JSON.stringify(this.#key)}`;
    const [file, lockFile] = [path, lockPath].map((text) => new TextEncoder().encode(text)) as [Uint8Array, Uint8Array];
    const handle = library().qshm_qt_memory(file, file.length, lockFile, lockFile.length, project);
    if (handle < 0) throw errorOf({ result: handle, operation: "use", key: this.#key, subject: this.#subject });
    this.#handle = handle;
    noteOpen(this);
  }

  /** Is it attached? */
  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** Bytes; 0 while not attached. */
  get size(): number {
    return this.#isAttached ? this.#size : 0;
  }

  /** Gives the library's result, as the others do. */
  create(size: number, readOnly: boolean, timeout: number): number {
    return this.#attached(library().qshm_qt_create(this.#handle, size, readOnly ? 1 : 0, timeout, outcome));
  }

  attach(readOnly: boolean, timeout: number): number {
    return this.#attached(library().qshm_qt_attach(this.#handle, readOnly ? 1 : 0, timeout, outcome));
  }

  #attached(result: number): number {
    if (result === DONE) {
      this.#isAttached = true;
      this.#size = outcomeSize();
    }
    return result;
  }

  /** Did a crash leave behind what the last create or attach found? To be asked at once. */
  get wasLeftBehind(): boolean {
    return (outcomeFlags() & RECOVERED) !== 0;
  }

  detach(timeout: number): number {
    const result = library().qshm_qt_detach(this.#handle, timeout, outcome);
    if (result === DONE) {
      library().qshm_qt_unmap(this.#handle, emptyViews(this.#view) ? 0 : 1);
      this.#view = undefined;
      this.#isAttached = false;
    }
    return result;
  }

  lock(timeout: number): number {
    return library().qshm_qt_lock(this.#handle, timeout);
  }

  unlock(): number {
    return library().qshm_qt_unlock(this.#handle);
  }

  forceUnlock(): number {
    return library().qshm_qt_force_unlock(this.#handle, new Uint8Array(4));
  }

  remove(force: boolean, timeout: number): number {
    return library().qshm_qt_remove(this.#handle, force ? 1 : 0, timeout, outcome);
  }

  /** The bytes themselves; there is one view an attachment, so that detach can empty it. */
  get view(): Uint8Array<ArrayBuffer> {
    if (this.#view === undefined) {
      const address = library().qshm_qt_payload(this.#handle);
      if (address === null) throw new TypeError(`Cannot view ${this.#subject}: it is read-only`);
      this.#view = viewOf(address, this.#size, this.#subject, this.#key);
    }
    return this.#view;
  }

  /** A copy of the bytes. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    const copy = new Uint8Array(length);
    this.#check(library().qshm_qt_read(this.#handle, offset, copy, length), "read");
    return copy;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#check(library().qshm_qt_write(this.#handle, offset, bytes, bytes.length), "write");
  }

  /** Do the bytes differ from `last`? Then `last` is what they are now. */
  refresh(last: Uint8Array): boolean {
    return this.#check(library().qshm_qt_compare(this.#handle, last, last.length), "compare") === 1;
  }

  #check(result: number, operation: string): number {
    if (result < 0) throw errorOf({ result, operation, key: this.#key, subject: this.#subject });
    return result;
  }

  /** Detaches if need be, and ends the object. */
  close(): void {
    if (this.#handle === 0) return;
    const handle = this.#handle;
    this.#handle = 0;
    this.#isAttached = false;
    noteClosed(this);
    if (library().qshm_qt_close(handle) === 1) library().qshm_qt_free(handle, emptyViews(this.#view) ? 0 : 1);
    this.#view = undefined;
  }
}
