/**
 * Where a stream reads or writes, and how: its bytes, position, byte order, version and status. What it gives when bytes
 * are missing, or after an error, is decided here for all types.
 *
 * @module
 */

import { NEWEST, QT_6_7, type Status, STATUS } from "./versions.ts";

/** Nothing can be read. */
const BLOCKED = -1;
const FIRST_CAPACITY = 64;
/** Qt's mark of null strings, and, in a count, of what is not there. */
export const NULL_SIZE = 0xffffffff;
const EXTENDED_SIZE = 0xfffffffe;
/**
 * Values in values (a QVariantList in a QVariant counts as two): far more than programs use, far less than there is stack
 * for. In Node, which has the smallest, 6000 were too deep, in Deno 7300 and in Bun 21,000.
 */
export const MAX_DEPTH = 512;

/** A stream's state. Reading never throws; writing throws for misuse only. */
export class Cursor {
  /** A stream that reads has them from outside and leaves them alone; one that writes lets them grow. */
  bytes: Uint8Array;
  view: DataView;
  position = 0;
  littleEndian = false;
  doublePrecision = true;
  version: number = NEWEST;
  status: Status = STATUS.Ok;
  readonly writes: boolean;
  /** How deep in values the reader or writer is. */
  depth = 0;
  /** Transactions that were started and not ended. */
  transactions = 0;
  #transactionStart = 0;
  /** Where reading ends. */
  #limit: number;

  constructor(bytes: Uint8Array | undefined) {
    this.writes = bytes === undefined;
    this.bytes = bytes ?? new Uint8Array(FIRST_CAPACITY);
    this.view = viewOf(this.bytes);
    this.#limit = bytes === undefined ? BLOCKED : bytes.length;
  }

  /** Bytes that are left to read. */
  get available(): number {
    return this.writes ? 0 : this.bytes.length - this.position;
  }

  /** Sets an error, unless there is one. */
  fail(status: Status): void {
    if (this.status === STATUS.Ok) this.setStatus(status);
  }

  /** Sets the status, whatever it was. In a transaction an error ends all reading. */
  setStatus(status: Status): void {
    this.status = status;
    const blocked = this.writes || (status !== STATUS.Ok && this.transactions > 0);
    this.#limit = blocked ? BLOCKED : this.bytes.length;
  }

  /** Begins a transaction; those in it depend on it. */
  start(): void {
    if (++this.transactions > 1) return;
    this.#transactionStart = this.position;
    this.setStatus(STATUS.Ok);
  }

  /** Ends one; with the outermost, the position goes back if `back`. */
  end(back: boolean): void {
    if (--this.transactions > 0) return;
    if (back && !this.writes) this.position = this.#transactionStart;
    this.setStatus(this.status);
  }

  /** Where `size` bytes stand that are read now; or -1: they are not there, what is left is consumed, status is set. */
  take(size: number): number {
    const start = this.position;
    if (size <= this.#limit - start) {
      this.position = start + size;
      return start;
    }
    if (this.#limit !== BLOCKED) this.position = this.#limit;
    this.fail(STATUS.ReadPastEnd);
    return -1;
  }

  /** Where `size` bytes are to be put; or -1: after an error, and where only reading is possible, nothing is written. */
  put(size: number): number {
    if (this.status !== STATUS.Ok) return -1;
    if (!this.writes) {
      this.fail(STATUS.WriteFailed);
      return -1;
    }
    const start = this.position;
    if (start + size > this.bytes.length) this.#grow(start + size);
    this.position = start + size;
    return start;
  }

  #grow(size: number): void {
    const bytes = new Uint8Array(Math.max(size, this.bytes.length * 2));
    bytes.set(this.bytes.subarray(0, this.position));
    this.bytes = bytes;
    this.view = viewOf(bytes);
  }

  /** A byte; 0 if there is none. */
  readByte(): number {
    const at = this.take(1);
    return at < 0 ? 0 : this.bytes[at]!;
  }

  /** A quint32; 0 if it is not there. */
  readUint32(): number {
    const at = this.take(4);
    return at < 0 ? 0 : this.view.getUint32(at, this.littleEndian);
  }

  /** A qint64; 0 if it is not there. */
  readInt64(): bigint {
    const at = this.take(8);
    return at < 0 ? 0n : this.view.getBigInt64(at, this.littleEndian);
  }

  writeByte(value: number): void {
    const at = this.put(1);
    if (at >= 0) this.bytes[at] = value;
  }

  writeUint32(value: number): void {
    const at = this.put(4);
    if (at >= 0) this.view.setUint32(at, value, this.littleEndian);
  }

  writeInt64(value: bigint): void {
    const at = this.put(8);
    if (at >= 0) this.view.setBigInt64(at, value, this.littleEndian);
  }

  /** How many bytes follow, not to be believed; -1: null. Below that it is an error that the caller has to tell. */
  readSize(): number {
    const size = this.readUint32();
    if (size === NULL_SIZE) return -1;
    return size < EXTENDED_SIZE || this.version < QT_6_7 ? size : Number(this.readInt64());
  }

  /** How many elements follow, of what cannot be null: not to be believed either. */
  readCount(): number {
    const size = this.readSize();
    if (size >= 0) return size;
    if (this.version < QT_6_7) return NULL_SIZE;
    this.fail(STATUS.SizeLimitExceeded);
    return 0;
  }

  /** `false`: this version cannot tell such a size. */
  writeSize(size: number): boolean {
    if (size <= EXTENDED_SIZE && (size < EXTENDED_SIZE || this.version < QT_6_7)) {
      this.writeUint32(size);
    } else if (this.version >= QT_6_7) {
      this.writeUint32(EXTENDED_SIZE);
      this.writeInt64(BigInt(size));
    } else {
      this.fail(STATUS.SizeLimitExceeded);
      return false;
    }
    return true;
  }

  /** Begins to read a container: as in Qt that is done even after an error, except in a transaction. Gives that error. */
  beginContainer(): Status {
    const before = this.status;
    if (before !== STATUS.Ok && this.transactions === 0) this.setStatus(STATUS.Ok);
    return before;
  }

  /** Ends it; an error from before stays. Gives whether it is whole. */
  endContainer(before: Status): boolean {
    const whole = this.status === STATUS.Ok;
    if (before !== STATUS.Ok) this.setStatus(before);
    this.leave();
    return whole;
  }

  /** Goes into a value that holds values; `false`: that is too deep. */
  enter(): boolean {
    if (this.depth >= MAX_DEPTH) {
      if (this.writes) throw new RangeError(`Values must not be nested deeper than ${MAX_DEPTH}, or hold themselves`);
      this.fail(STATUS.ReadCorruptData);
      return false;
    }
    this.depth++;
    return true;
  }

  /** Comes out of it again. */
  leave(): void {
    this.depth--;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
