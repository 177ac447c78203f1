/**
 * The methods of QDataStream for numbers, truth values and single characters.
 *
 * @module
 */

import type { Cursor } from "./cursor.ts";
import { BOOL, DOUBLE, FLOAT, QCHAR, QINT16, QINT32, QINT64, QINT8, QUINT16, QUINT32, QUINT64, QUINT8 } from "./scalars.ts";
import { StreamState } from "./state.ts";

/** The part of {@linkcode QDataStream} that reads and writes scalars. */
export class ScalarStream extends StreamState {
  readonly #cursor: Cursor;

  /** Streams are made as QDataStream. */
  constructor(cursor: Cursor) {
    super(cursor);
    this.#cursor = cursor;
  }

  /** Reads a `bool`; what is not 0 is true. */
  readBool(): boolean {
    return BOOL.read(this.#cursor);
  }

  /** Writes a `bool`. */
  writeBool(value: boolean): this {
    BOOL.write(this.#cursor, value);
    return this;
  }

  /** Reads an integer of 8 bits. */
  readQint8(): number {
    return QINT8.read(this.#cursor);
  }

  /** Writes an integer of 8 bits. */
  writeQint8(value: number): this {
    QINT8.write(this.#cursor, value);
    return this;
  }

  /** Reads an unsigned integer of 8 bits. */
  readQuint8(): number {
    return QUINT8.read(this.#cursor);
  }

  /** Writes an unsigned integer of 8 bits. */
  writeQuint8(value: number): this {
    QUINT8.write(this.#cursor, value);
    return this;
  }

  /** Reads an integer of 16 bits. */
  readQint16(): number {
    return QINT16.read(this.#cursor);
  }

  /** Writes an integer of 16 bits. */
  writeQint16(value: number): this {
    QINT16.write(this.#cursor, value);
    return this;
  }

  /** Reads an unsigned integer of 16 bits. */
  readQuint16(): number {
    return QUINT16.read(this.#cursor);
  }

  /** Writes an unsigned integer of 16 bits. */
  writeQuint16(value: number): this {
    QUINT16.write(this.#cursor, value);
    return this;
  }

  /** Reads an integer of 32 bits. */
  readQint32(): number {
    return QINT32.read(this.#cursor);
  }

  /** Writes an integer of 32 bits. */
  writeQint32(value: number): this {
    QINT32.write(this.#cursor, value);
    return this;
  }

  /** Reads an unsigned integer of 32 bits. */
  readQuint32(): number {
    return QUINT32.read(this.#cursor);
  }

  /** Writes an unsigned integer of 32 bits. */
  writeQuint32(value: number): this {
    QUINT32.write(this.#cursor, value);
    return this;
  }

  /** Reads an integer of 64 bits. */
  readQint64(): bigint {
    return QINT64.read(this.#cursor);
  }

  /** Writes an integer of 64 bits. */
  writeQint64(value: bigint): this {
    QINT64.write(this.#cursor, value);
    return this;
  }

  /** Reads an unsigned integer of 64 bits. */
  readQuint64(): bigint {
    return QUINT64.read(this.#cursor);
  }

  /** Writes an unsigned integer of 64 bits. */
  writeQuint64(value: bigint): this {
    QUINT64.write(this.#cursor, value);
    return this;
  }

  /** Reads a `float`, of 4 or 8 bytes as the precision says. */
  readFloat(): number {
    return FLOAT.read(this.#cursor);
  }

  /** Writes a `float`, of 4 or 8 bytes as the precision says. */
  writeFloat(value: number): this {
    FLOAT.write(this.#cursor, value);
    return this;
  }

  /** Reads a `double`, of 4 or 8 bytes as the precision says. */
  readDouble(): number {
    return DOUBLE.read(this.#cursor);
  }

  /** Writes a `double`, of 4 or 8 bytes as the precision says. */
  writeDouble(value: number): this {
    DOUBLE.write(this.#cursor, value);
    return this;
  }

  /** Reads one UTF-16 unit. */
  readQChar(): string {
    return QCHAR.read(this.#cursor);
  }

  /** Writes one UTF-16 unit. */
  writeQChar(value: string): this {
    QCHAR.write(this.#cursor, value);
    return this;
  }
}
