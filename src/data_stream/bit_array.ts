/**
 * Qt's QBitArray.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import { wrongType } from "./misuse.ts";
import { copy, putBytes } from "./text.ts";
import { QT_6_0, STATUS } from "./versions.ts";

/**
 * An array of bits, eight to a byte, as Qt's QBitArray. It does not change.
 *
 * @example Usage
 * ```ts
 * import { QBitArray } from "qshm/qt";
 *
 * const bits = QBitArray.from("1001");
 * console.assert(bits.size === 4 && bits.at(3) && !bits.at(1));
 * console.assert([...bits].filter(Boolean).length === 2);
 * console.assert(bits.toString() === "1001");
 * ```
 */
export class QBitArray implements Iterable<boolean> {
  /** How many bits. */
  readonly size: number;
  /** The bits: the first is the lowest of the first byte, those after the last are 0. */
  readonly bytes: Uint8Array;

  /** Takes bytes as they are: `Math.ceil(size / 8)` of them. RangeError if it is another number. */
  constructor(size: number, bytes: Uint8Array) {
    if (!Number.isSafeInteger(size) || size < 0 || Math.ceil(size / 8) !== bytes.length) {
      throw new RangeError(`A QBitArray of ${size} bits must have ${Math.ceil(size / 8)} bytes: got ${bytes.length}`);
    }
    this.size = size;
    this.bytes = bytes;
  }

  /**
   * Makes one of truth values, or of text.
   *
   * @param bits Booleans, or a string of `0` and `1`.
   * @returns The bits.
   *
   * @example Usage
   * ```ts
   * import { QBitArray } from "qshm/qt";
   *
   * console.assert(QBitArray.from([true, false]).toString() === "10");
   * ```
   */
  static from(bits: Iterable<boolean> | string): QBitArray {
    if (typeof bits === "string" && /[^01]/.test(bits)) throw wrongType("QBitArray", 'a string of "0" and "1"', bits);
    const values = typeof bits === "string" ? Array.from(bits, (bit) => bit === "1") : [...bits];
    const bytes = new Uint8Array(Math.ceil(values.length / 8));
    values.forEach((value, i) => {
      if (value) bytes[i >> 3]! |= 1 << (i & 7);
    });
    return new QBitArray(values.length, bytes);
  }

  /** The bit at an index; `false` outside. */
  at(index: number): boolean {
    return (((this.bytes[Math.floor(index / 8)] ?? 0) >> (index & 7)) & 1) === 1;
  }

  /** The bits in order. */
  *[Symbol.iterator](): IterableIterator<boolean> {
    for (let i = 0; i < this.size; i++) yield this.at(i);
  }

  /** The bits as `0` and `1`. */
  toString(): string {
    return Array.from(this, (bit) => (bit ? "1" : "0")).join("");
  }
}

const EMPTY = new QBitArray(0, new Uint8Array(0));

export const QBITARRAY: Codec<QBitArray> = {
  name: "QBitArray",
  zero: EMPTY,
  read(cursor) {
    const size = cursor.version < QT_6_0 ? cursor.readUint32() : Number(BigInt.asUintN(64, cursor.readInt64()));
    if (size >= 2 ** 63) {
      cursor.fail(STATUS.SizeLimitExceeded);
      return EMPTY;
    }
    if (size === 0) return EMPTY;
    const start = cursor.take(Math.ceil(size / 8));
    if (start < 0) return EMPTY;
    const bytes = copy(cursor, start, Math.ceil(size / 8));
    if (size % 8 !== 0 && bytes.at(-1)! >> (size % 8) !== 0) {
      cursor.fail(STATUS.ReadCorruptData);
      return EMPTY;
    }
    return new QBitArray(size, bytes);
  },
  write(cursor, value) {
    if (!(value instanceof QBitArray)) throw wrongType("QBitArray", "a QBitArray", value);
    if (cursor.version < QT_6_0) cursor.writeUint32(value.size);
    else cursor.writeInt64(BigInt(value.size));
    putBytes(cursor, value.bytes);
  },
};
