/**
 * Numbers, truth values and single characters.
 *
 * @module
 */

import { ascending, type Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { STATUS } from "./versions.ts";
import { outOfRange, wrongType } from "./misuse.ts";

function misfit(type: string, least: number, most: number, value: unknown): Error {
  return typeof value === "number" ? outOfRange(type, least, most, value) : wrongType(type, "a number", value);
}

/** Integers of 8 bits. */
function byte(name: string, least: number): Codec<number> {
  const most = least + 255;
  return {
    name,
    zero: 0,
    compare: ascending,
    read: least < 0 ? (cursor) => cursor.readByte() << 24 >> 24 : (cursor) => cursor.readByte(),
    write(cursor, value) {
      if (!Number.isInteger(value) || value < least || value > most) throw misfit(name, least, most, value);
      cursor.writeByte(value);
    },
  };
}

/** `signed char`, and `char` where Qt streams it. */
export const QINT8: Codec<number> = byte("qint8", -128);
export const QUINT8: Codec<number> = byte("quint8", 0);

type Get = (view: DataView, at: number, littleEndian: boolean) => number;
type Set = (view: DataView, at: number, value: number, littleEndian: boolean) => void;

/** Several numbers at once: without asking each time whether there is room. */
function readNumbers(cursor: Cursor, count: number, width: number, get: Get): number[] {
  const start = cursor.take(count * width);
  if (start < 0) return [];
  const { view, littleEndian } = cursor;
  const numbers: number[] = [];
  for (let i = 0; i < count; i++) numbers.push(get(view, start + i * width, littleEndian));
  return numbers;
}

function writeNumbers(cursor: Cursor, numbers: readonly number[], width: number, set: Set): void {
  const start = cursor.put(numbers.length * width);
  if (start < 0) return;
  const { view, littleEndian } = cursor;
  for (let i = 0; i < numbers.length; i++) set(view, start + i * width, numbers[i]!, littleEndian);
}

/** Integers of 16 and 32 bits. */
function integer(name: string, width: number, least: number, most: number, get: Get, set: Set): Codec<number> {
  const check = (value: number): void => {
    if (!Number.isInteger(value) || value < least || value > most) throw misfit(name, least, most, value);
  };
  return {
    name,
    zero: 0,
    compare: ascending,
    read(cursor) {
      const at = cursor.take(width);
      return at < 0 ? 0 : get(cursor.view, at, cursor.littleEndian);
    },
    write(cursor, value) {
      check(value);
      const at = cursor.put(width);
      if (at >= 0) set(cursor.view, at, value, cursor.littleEndian);
    },
    readAll: (cursor, count) => readNumbers(cursor, count, width, get),
    writeAll(cursor, values) {
      for (let i = 0; i < values.length; i++) check(values[i]!);
      writeNumbers(cursor, values, width, set);
    },
  };
}

export const QINT16: Codec<number> = integer(
  "qint16", 2, -(2 ** 15), 2 ** 15 - 1,
  (view, at, little) => view.getInt16(at, little),
  (view, at, value, little) => view.setInt16(at, value, little),
);
export const QUINT16: Codec<number> = integer(
  "quint16", 2, 0, 2 ** 16 - 1,
  (view, at, little) => view.getUint16(at, little),
  (view, at, value, little) => view.setUint16(at, value, little),
);
export const QINT32: Codec<number> = integer(
  "qint32", 4, -(2 ** 31), 2 ** 31 - 1,
  (view, at, little) => view.getInt32(at, little),
  (view, at, value, little) => view.setInt32(at, value, little),
);
export const QUINT32: Codec<number> = integer(
  "quint32", 4, 0, 2 ** 32 - 1,
  (view, at, little) => view.getUint32(at, little),
  (view, at, value, little) => view.setUint32(at, value, little),
);

export const QINT64: Codec<bigint> = {
  name: "qint64",
  zero: 0n,
  compare: ascending,
  read: (cursor) => cursor.readInt64(),
  write(cursor, value) {
    if (typeof value !== "bigint") throw wrongType("qint64", "a bigint", value);
    if (BigInt.asIntN(64, value) !== value) throw outOfRange("qint64", -(2n ** 63n), 2n ** 63n - 1n, value);
    cursor.writeInt64(value);
  },
};

export const QUINT64: Codec<bigint> = {
  name: "quint64",
  zero: 0n,
  compare: ascending,
  read: (cursor) => BigInt.asUintN(64, cursor.readInt64()),
  write(cursor, value) {
    if (typeof value !== "bigint") throw wrongType("quint64", "a bigint", value);
    if (BigInt.asUintN(64, value) !== value) throw outOfRange("quint64", 0, 2n ** 64n - 1n, value);
    cursor.writeInt64(BigInt.asIntN(64, value));
  },
};

export const BOOL: Codec<boolean> = {
  name: "bool",
  zero: false,
  compare: ascending,
  read: (cursor) => cursor.readByte() !== 0,
  write(cursor, value) {
    if (typeof value !== "boolean") throw wrongType("bool", "a boolean", value);
    cursor.writeByte(value ? 1 : 0);
  },
};

const getDouble: Get = (view, at, little) => view.getFloat64(at, little);
const setDouble: Set = (view, at, value, little) => view.setFloat64(at, value, little);
const getSingle: Get = (view, at, little) => view.getFloat32(at, little);
const setSingle: Set = (view, at, value, little) => view.setFloat32(at, value, little);

/** The stream's precision decides how both float and double are written; what each can hold is another matter. */
function real(name: string, held: (value: number) => number): Codec<number> {
  const check = (value: number): void => {
    if (typeof value !== "number") throw wrongType(name, "a number", value);
  };
  return {
    name,
    zero: 0,
    compare: ascending,
    read(cursor) {
      const at = cursor.take(cursor.doublePrecision ? 8 : 4);
      if (at < 0) return 0;
      return held((cursor.doublePrecision ? getDouble : getSingle)(cursor.view, at, cursor.littleEndian));
    },
    write(cursor, value) {
      check(value);
      const at = cursor.put(cursor.doublePrecision ? 8 : 4);
      if (at >= 0) (cursor.doublePrecision ? setDouble : setSingle)(cursor.view, at, held(value), cursor.littleEndian);
    },
    readAll(cursor, count) {
      const numbers = cursor.doublePrecision ? readNumbers(cursor, count, 8, getDouble) : readNumbers(cursor, count, 4, getSingle);
      return numbers.map(held);
    },
    writeAll(cursor, values) {
      for (let i = 0; i < values.length; i++) check(values[i]!);
      if (cursor.doublePrecision) writeNumbers(cursor, values.map(held), 8, setDouble);
      else writeNumbers(cursor, values, 4, setSingle);
    },
  };
}

export const FLOAT: Codec<number> = real("float", Math.fround);
export const DOUBLE: Codec<number> = real("double", (value) => value);

/** One UTF-16 unit: a lone surrogate passes, as in Qt. */
export const QCHAR: Codec<string> = {
  name: "QChar",
  zero: "\0",
  compare: ascending,
  read: (cursor) => String.fromCharCode(QUINT16.read(cursor)),
  write(cursor, value) {
    if (typeof value !== "string" || value.length !== 1) throw wrongType("QChar", "a string of one UTF-16 unit", value);
    QUINT16.write(cursor, value.charCodeAt(0));
  },
};

/** Takes no bytes. */
export const NULLPTR: Codec<null> = {
  name: "std::nullptr_t",
  zero: null,
  read: () => null,
  write(_cursor, value) {
    if (value !== null) throw wrongType("std::nullptr_t", "null", value);
  },
};

/** What Qt knows, and cannot read or write; or what only Qt can. */
export function unreadable(name: string): Codec<null> {
  return {
    name,
    zero: null,
    read(cursor) {
      cursor.fail(STATUS.ReadCorruptData);
      return null;
    },
    write() {
      throw new TypeError(`A ${name} cannot be written: choose another type`);
    },
  };
}
