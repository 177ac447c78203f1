/**
 * One whole value with a name.
 *
 * @module
 */

import { native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { Attachment } from "./attachment.ts";
import { changeFunctions } from "./bell.ts";
import { Changes } from "./change.ts";
import { type ChangesOptions, follow } from "./changes.ts";
import { type Codec, json } from "./codec.ts";
import { LockError, MessageTooLargeError, NotFoundError, timeoutError, withLibrary } from "./errors.ts";
import { checkLife, type Life, LIFE_OPTIONS, type LifeOptions, type PlaceOptions, undefinedFor } from "./life.ts";
import { type Lock, LockQueue } from "./lock.ts";
import { outcome } from "./outcome.ts";
import { PROCESS_SIZE, type ProcessInfo, readProcess } from "./process_info.ts";
import { checkBytes, checkInteger, checkOptions, describe } from "./validate.ts";
import { checkWait, type WaitOptions } from "./wait.ts";

/** How to open a value. */
export interface ValueOptions<T> extends LifeOptions {
  /** Bytes that an encoded value may have, at most 1 GiB; four times as many are reserved. Default: 64 KiB. */
  maxSize?: number;
  /** How values become bytes. Default: {@linkcode json}. */
  codec?: Codec<T>;
}

/** How to attach to a value. */
export interface AttachValueOptions<T> extends PlaceOptions {
  /** How values become bytes. Default: {@linkcode json}. */
  codec?: Codec<T>;
}

let functions: Group<"value"> | undefined;

function library(): Group<"value"> {
  return functions ??= native("value");
}

const DEFAULT_SIZE = 65536;
const LARGEST_SIZE = 2 ** 30;
/** `struct qshm_value`, which stands before the bytes. */
const HEADER_SIZE = 16;
const STORED = 1;
const BUSY = -13;
const ANY = -1;

/** What is there: the bytes of a value and its number. */
interface Seen {
  readonly sequence: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Bytes that are to be set, and how many there truly are. */
interface Encoded {
  readonly bytes: Uint8Array;
  readonly size: number;
}

/**
 * One value that several processes read and write, always whole: nobody ever sees half of one, nobody waits for a lock to
 * read or to set it, and a process that is killed in between leaves the value that was there.
 *
 * Like all objects here it stays attached until {@linkcode SharedValue.close}, the end of a `using` block, or the end of the
 * process.
 *
 * @example Progress that others can see
 * ```ts
 * import { SharedValue } from "qshm";
 *
 * interface Progress {
 *   done: number;
 *   of: number;
 * }
 * using progress = SharedValue.open<Progress>("class-value-example");
 * progress.set({ done: 3, of: 10 });
 *
 * using seen = SharedValue.tryAttach<Progress>("class-value-example"); // in another process
 * console.assert(seen?.get()?.done === 3);
 * ```
 */
export class SharedValue<T> implements Disposable {
  readonly #attachment: Attachment;
  readonly #codec: Codec<T>;
  readonly #changes: Changes;
  readonly #lock: LockQueue;
  readonly #maxSize: number;
  #lastSize = 64;

  private constructor(attachment: Attachment, codec: Codec<T>) {
    this.#attachment = attachment;
    this.#codec = codec;
    this.#changes = new Changes(attachment);
    this.#lock = new LockQueue(attachment);
    this.#maxSize = library().qshm_value_capacity(attachment.handle("open"));
  }

  /**
   * Opens a value: attaches to it, or creates it unset.
   *
   * @param key Any text without NUL.
   * @param options Its largest size, codec, place and life; one that exists keeps its own size and life.
   * @returns The value.
   * @throws {IncompatibleError} It is there with another codec, or made by another version.
   * @throws {OutOfResourcesError} There is no room for it.
   *
   * @example Usage
   * ```ts
   * import { SharedValue, utf8 } from "qshm";
   *
   * using greeting = SharedValue.open("open-value-example", { codec: utf8, maxSize: 100 });
   * console.assert(greeting.get() === undefined);
   * greeting.set("hello");
   * console.assert(greeting.get() === "hello");
   * ```
   */
  static open<T>(key: string, options?: ValueOptions<T>): SharedValue<T> {
    const { maxSize = DEFAULT_SIZE, codec: given, ...life } = checkOptions(options, [...LIFE_OPTIONS, "maxSize", "codec"]);
    const codec = checkCodec(given);
    const { directory, mode, persistent } = checkLife(life);
    checkInteger("MaxSize", maxSize, 1, LARGEST_SIZE);
    const { name } = codec;
    return new SharedValue(openAttachment({ operation: "open", key, directory, mode, persistent, codec: name, maxSize }), codec);
  }

  /**
   * Attaches to a value that somebody uses, or that persists.
   *
   * @param key Its key.
   * @param options Its codec and place.
   * @returns The value, or `undefined` if there is none.
   * @throws {IncompatibleError} It is there with another codec, or made by another version.
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * console.assert(SharedValue.tryAttach("try-attach-value-example") === undefined);
   * ```
   */
  static tryAttach<T>(key: string, options?: AttachValueOptions<T>): SharedValue<T> | undefined {
    const { directory, codec: given } = checkOptions(options, ["directory", "codec"]);
    const codec = checkCodec(given);
    const { name } = codec;
    return undefinedFor(NotFoundError, () =>
      new SharedValue(openAttachment({ operation: "attach", key, directory, codec: name, maxSize: 0 }), codec));
  }

  /** The key, as given. */
  get key(): string {
    return this.#attachment.key;
  }

  /** The path of its file. */
  get path(): string {
    return this.#attachment.path;
  }

  /** Bytes that an encoded value may have. */
  get maxSize(): number {
    return this.#maxSize;
  }

  /** Counts the values that were set; 0: none yet. */
  get revision(): number {
    return this.#check(library().qshm_value_sequence(this.#attachment.handle("read")), "read");
  }

  /** Who set the value last; `undefined` if nobody did. */
  get writer(): ProcessInfo | undefined {
    const process = new Uint8Array(PROCESS_SIZE);
    const result = library().qshm_value_writer(this.#attachment.handle("ask for the writer of"), process);
    return this.#check(result, "ask for the writer of") === 1 ? readProcess(process) : undefined;
  }

  /**
   * Gives the value, whole; it never waits for one that writes.
   *
   * @returns The value, or `undefined` if none was set yet.
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * using value = SharedValue.open<number[]>("get-example");
   * value.set([1, 2]);
   * console.assert(value.get()?.length === 2);
   * ```
   */
  get(): T | undefined {
    const seen = this.#read();
    return seen === undefined ? undefined : this.#codec.decode(seen.bytes);
  }

  /**
   * Sets the value, and wakes those who follow it.
   *
   * @param value The value.
   * @throws {MessageTooLargeError} It has more than `maxSize` bytes; the old value stays.
   * @throws {BusyError} Three processes were stopped while they set it.
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * using value = SharedValue.open<string>("set-example");
   * value.set("new");
   * console.assert(value.get() === "new" && value.revision === 1);
   * ```
   */
  set(value: T): void {
    this.#write(this.#encode(value), ANY);
  }

  /**
   * As {@linkcode SharedValue.set}, but only if its bytes differ from those there.
   *
   * @param value The value.
   * @returns Did it set it?
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * using value = SharedValue.open<string>("set-if-changed-example");
   * console.assert(value.setIfChanged("same") === true);
   * console.assert(value.setIfChanged("same") === false);
   * ```
   */
  setIfChanged(value: T): boolean {
    const encoded = this.#encode(value);
    const seen = this.#read();
    if (seen !== undefined && isEqual(seen.bytes, encoded)) return false;
    this.#write(encoded, ANY);
    return true;
  }

  /**
   * Makes a new value of the old one; of several at once none is lost. Those who update take turns.
   *
   * @param f Gives the new value. It is called again if somebody set the value in between.
   * @param options How to wait for the turn. By default without a limit.
   * @returns The new value.
   * @throws {DOMException} `TimeoutError`: time is up; `AbortError`: closed meanwhile; or the signal's reason.
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * using count = SharedValue.open<number>("update-example");
   * await Promise.all([1, 2, 3].map(() => count.update((n = 0) => n + 1)));
   * console.assert(count.get() === 3);
   * ```
   */
  async update(f: (value: T | undefined) => T, options?: WaitOptions): Promise<T> {
    if (typeof f !== "function") throw new TypeError(`F must be a function: got ${describe(f)}`);
    const wait = checkWait(options);
    const deadline = performance.now() + wait.timeout;
    const turn = await this.#lock.lock(wait);
    try {
      for (;;) {
        const seen = this.#read();
        const value = f(seen === undefined ? undefined : this.#codec.decode(seen.bytes));
        if (this.#write(this.#encode(value), seen?.sequence ?? 0)) return value;
        await new Promise<void>((resolve) => runtime().nextTurn(resolve)); // somebody was faster
        wait.signal?.throwIfAborted();
        if (performance.now() > deadline) throw timeoutError(`an update of ${this.#attachment.subject}`, wait.timeout);
      }
    } finally {
      endTurn(turn);
    }
  }

  /**
   * Follows the values that are set from now on, by whomever. Several may be seen as one, and the last is never missed. It
   * ends when the loop is left, the signal aborts, or the value is closed.
   *
   * @param options `initial`: begin with the value that is there; `signal`; `ref: false` lets the process end meanwhile.
   * @returns An iterator of values.
   *
   * @example Usage
   * ```ts
   * import { SharedValue } from "qshm";
   *
   * using value = SharedValue.open<string>("value-changes-example");
   * value.set("first");
   * for await (const seen of value.changes({ initial: true })) {
   *   console.assert(seen === "first");
   *   break;
   * }
   * ```
   */
  changes(options?: ChangesOptions): AsyncIterableIterator<T> {
    this.#attachment.handle("follow");
    return follow(options, this.#changes, () => this.revision || undefined, () => {
      const { sequence, bytes } = this.#read()!;
      return { count: sequence, value: this.#codec.decode(bytes) };
    });
  }

  /** Detaches; the last one to do so removes the value, unless it is persistent. Doing so again is nothing. */
  close(): void {
    this.#lock.close();
    this.#changes.close();
    this.#attachment.detach();
  }

  /** Detaches. */
  [Symbol.dispose](): void {
    this.close();
  }

  #read(): Seen | undefined {
    const handle = this.#attachment.handle("read");
    for (;;) {
      const buffer = new Uint8Array(HEADER_SIZE + this.#lastSize);
      const needed = this.#check(library().qshm_value_get(handle, buffer, buffer.length), "read");
      this.#lastSize = needed - HEADER_SIZE;
      if (needed > buffer.length) continue;
      const sequence = new DataView(buffer.buffer).getFloat64(0, true);
      return sequence === 0 ? undefined : { sequence, bytes: buffer.subarray(HEADER_SIZE, needed) };
    }
  }

  #encode(value: T): Encoded {
    const bytes = this.#codec.encode(value);
    const size = checkBytes(`What codec ${JSON.stringify(this.#codec.name)} gives`, bytes);
    if (size <= this.#maxSize) return { bytes, size };
    throw new MessageTooLargeError(
      `Cannot set ${this.#attachment.subject}: ${size} bytes are more than the ${this.#maxSize} that its maxSize allows`,
      { code: "MessageTooLarge", operation: "set", key: this.key },
    );
  }

  /** `false`: it is not the value of this sequence any more. */
  #write({ bytes, size }: Encoded, expected: number): boolean {
    const handle = this.#attachment.handle("set");
    return this.#check(library().qshm_value_set(handle, bytes, size, expected), "set") === STORED;
  }

  #check(result: number, operation: string): number {
    if (result >= 0) return result;
    const pid = result === BUSY ? changeFunctions().qshm_busy_process(this.#attachment.handle(operation)) : undefined;
    throw this.#attachment.error(result, operation, undefined, pid);
  }
}

interface OpenRequest extends Partial<Life> {
  readonly operation: "open" | "attach";
  readonly key: string;
  readonly directory: string | undefined;
  readonly codec: string;
  /** Of one that is created. */
  readonly maxSize: number;
}

function openAttachment({ codec, maxSize, ...request }: OpenRequest): Attachment {
  const name = new TextEncoder().encode(codec);
  const { qshm_open_value } = withLibrary(request.operation, request.key, library);
  return new Attachment({
    ...request,
    kind: "value",
    size: maxSize,
    open: (how, mode, key, place) =>
      qshm_open_value(how, mode, maxSize, key, key.length, place, place.length, name, name.length, outcome),
  });
}

/** That a turn was taken away changes nothing: whoever sets a value compares. */
function endTurn(turn: Lock): void {
  try {
    turn.unlock();
  } catch (error) {
    if (!(error instanceof LockError)) throw error;
  }
}

function checkCodec<T>(codec: Codec<T> | undefined): Codec<T> {
  if (codec === undefined) return json as Codec<T>;
  const { name, encode, decode } = Object(codec) as Partial<Codec<T>>;
  if (typeof name !== "string" || typeof encode !== "function" || typeof decode !== "function") {
    throw new TypeError(`Codec must have a name, encode() and decode(): got ${describe(codec)}`);
  }
  if (!/^[!-~]{1,63}$/.test(name)) {
    throw new TypeError(`Name of the codec must be 1 to 63 printable ASCII characters: got ${describe(name)}`);
  }
  return codec;
}

function isEqual(there: Uint8Array, { bytes, size }: Encoded): boolean {
  return there.length === size && there.every((byte, i) => byte === bytes[i]);
}
