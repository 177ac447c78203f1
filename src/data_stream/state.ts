/**
 * What a stream has beside its values: version, byte order, precision, status, transactions and raw bytes.
 *
 * @module
 */

import type { Cursor } from "./cursor.ts";
import { Enumerations } from "./enumerations.ts";
import { describe, wrongType } from "./misuse.ts";
import { BYTES, copy, isBytes, putBytes } from "./text.ts";
import { type ByteOrder, type FloatingPointPrecision, NEWEST, OLDEST, type Status, STATUS } from "./versions.ts";

function checkEnumerator<T extends number>(name: string, value: T, most: number): T {
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new RangeError(`${name} must be a whole number from 0 to ${most}: got ${describe(value)}`);
}

/** The part of {@linkcode QDataStream} that is the same for all types. */
export class StreamState extends Enumerations {
  readonly #cursor: Cursor;

  /** Streams are made as QDataStream. */
  constructor(cursor: Cursor) {
    super();
    this.#cursor = cursor;
  }

  /** A copy of what was written; of a stream that reads, of all that it reads from. */
  bytes(): Uint8Array<ArrayBuffer> {
    const { writes, bytes, position } = this.#cursor;
    return copy(this.#cursor, 0, writes ? position : bytes.length);
  }

  /** Bytes that were read, or written. */
  pos(): number {
    return this.#cursor.position;
  }

  /** Is nothing left to read? */
  atEnd(): boolean {
    return this.#cursor.available === 0;
  }

  /** The version of the format. */
  version(): number {
    return this.#cursor.version;
  }

  /** Sets the version of the format, from {@linkcode QDataStream.Qt_4_6} to `Qt_6_9`; RangeError for others. */
  setVersion(version: number): this {
    if (!Number.isInteger(version) || version < OLDEST || version > NEWEST) {
      throw new RangeError(
        `Version must be from QDataStream.Qt_4_6 (${OLDEST}) to QDataStream.Qt_6_9 (${NEWEST}): got ${describe(version)}`,
      );
    }
    this.#cursor.version = version;
    return this;
  }

  /** The byte order. */
  byteOrder(): ByteOrder {
    return this.#cursor.littleEndian ? 1 : 0;
  }

  /** Sets the byte order of all numbers: `QDataStream.BigEndian`, the default, or `QDataStream.LittleEndian`. */
  setByteOrder(order: ByteOrder): this {
    this.#cursor.littleEndian = checkEnumerator("ByteOrder", order, 1) === 1;
    return this;
  }

  /** The precision. */
  floatingPointPrecision(): FloatingPointPrecision {
    return this.#cursor.doublePrecision ? 1 : 0;
  }

  /** Sets how many bytes a `float` and a `double` have, both: 8, the default, or 4. */
  setFloatingPointPrecision(precision: FloatingPointPrecision): this {
    this.#cursor.doublePrecision = checkEnumerator("FloatingPointPrecision", precision, 1) === 1;
    return this;
  }

  /** What became of all that was read or written since the last {@linkcode QDataStream.resetStatus}. */
  status(): Status {
    return this.#cursor.status;
  }

  /** Sets an error, if there is none yet. */
  setStatus(status: Status): this {
    this.#cursor.fail(checkEnumerator("Status", status, STATUS.SizeLimitExceeded));
    return this;
  }

  /** Forgets an error. */
  resetStatus(): this {
    this.#cursor.setStatus(STATUS.Ok);
    return this;
  }

  /**
   * Begins to read what may not be there whole yet, and forgets an error. In a transaction nothing more is read after an
   * error. Transactions may stand in others; then the outermost decides.
   */
  startTransaction(): this {
    this.#cursor.start();
    return this;
  }

  /** Ends it: if bytes were missing, the stream goes back to its begin. Gives whether all was read without an error. */
  commitTransaction(): boolean {
    if (this.#cursor.transactions === 0) return false;
    this.#cursor.end(this.#cursor.status === STATUS.ReadPastEnd);
    return this.#cursor.status === STATUS.Ok;
  }

  /** Ends it: the stream goes back to its begin, as if bytes were missing; not if what was read was corrupt. */
  rollbackTransaction(): this {
    this.#cursor.fail(STATUS.ReadPastEnd);
    if (this.#cursor.transactions > 0) this.#cursor.end(this.#cursor.status === STATUS.ReadPastEnd);
    return this;
  }

  /** Ends it: what was read is corrupt, and is not to be read again. */
  abortTransaction(): this {
    this.#cursor.setStatus(STATUS.ReadCorruptData);
    if (this.#cursor.transactions > 0) this.#cursor.end(false);
    return this;
  }

  /** Reads bytes that nothing counts: as many as there are, up to `length`. Fewer are an error, `ReadPastEnd`. */
  readRawData(length: number): Uint8Array<ArrayBuffer> {
    const { position } = this.#cursor;
    return copy(this.#cursor, position, this.skipRawData(length));
  }

  /** Reads as `readRawData()`, and gives how many bytes; they are not kept. */
  skipRawData(length: number): number {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(`Length must be a whole number, and not negative: got ${describe(length)}`);
    }
    const start = this.#cursor.position;
    this.#cursor.take(length);
    return this.#cursor.position - start;
  }

  /** Writes bytes as they are, without a count. */
  writeRawData(bytes: Uint8Array): this {
    if (!isBytes(bytes)) throw wrongType("block of bytes", "a Uint8Array", bytes);
    putBytes(this.#cursor, bytes);
    return this;
  }

  /** Reads counted bytes, of which there is no null: nothing is an empty array. */
  readBytes(): Uint8Array {
    return BYTES.read(this.#cursor);
  }

  /** Writes bytes after their count. */
  writeBytes(bytes: Uint8Array): this {
    BYTES.write(this.#cursor, bytes);
    return this;
  }
}
