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

export const QINT16: Codec<number> = {
  name: "qint16",
  zero: 0,
  compare: ascending,
  read(cursor) {
    const at = cursor.take(2);
    return at < 0 ? 0 : cursor.view.getInt16(at, cursor.littleEndian);
  },
  write(cursor, value) {
    if (value << 16 >> 16 !== value) throw misfit("qint16", -32768, 32767, value);
    const at = cursor.put(2);
    if (at >= 0) cursor.view.setInt16(at, value, cursor.littleEndian);
  },
};

export const QUINT16: Codec<number> = {
  name: "quint16",
  zero: 0,
  compare: ascending,
  read(cursor) {
    const at = cursor.take(2);
    return at < 0 ? 0 : cursor.view.getUint16(at, cursor.littleEndian);
  },
  write(cursor, value) {
    if ((value & 0xffff) !== value) throw misfit("quint16", 0, 65535, value);
    const at = cursor.put(2);
    if (at >= 0) cursor.view.setUint16(at, value, cursor.littleEndian);
  },
};

export const QINT32: Codec<number> = {
  name: "qint32",
  zero: 0,
  compare: ascending,
  read(cursor) {
    const at = cursor.take(4);
    return at < 0 ? 0 : cursor.view.getInt32(at, cursor.littleEndian);
  },
  write(cursor, value) {
    if ((value | 0) !== value) throw misfit("qint32", -(2 ** 31), 2 ** 31 - 1, value);
    const at = cursor.put(4);
    if (at >= 0) cursor.view.setInt32(at, value, cursor.littleEndian);
  },
};

export const QUINT32: Codec<number> = {
  name: "quint32",
  zero: 0,
  compare: ascending,
  read: (cursor) => cursor.readUint32(),
  write(cursor, value) {
    if (value >>> 0 !== value) throw misfit("quint32", 0, 2 ** 32 - 1, value);
    cursor.writeUint32(value);
  },
};

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

/** The stream's precision decides how both float and double are written. */
function readReal(cursor: Cursor): number {
  if (cursor.doublePrecision) {
    const at = cursor.take(8);
    return at < 0 ? 0 : cursor.view.getFloat64(at, cursor.littleEndian);
  }
  const at = cursor.take(4);
  return at < 0 ? 0 : cursor.view.getFloat32(at, cursor.littleEndian);
}

function writeReal(cursor: Cursor, value: number): void {
  const at = cursor.put(cursor.doublePrecision ? 8 : 4);
  if (at < 0) return;
  if (cursor.doublePrecision) cursor.view.setFloat64(at, value, cursor.littleEndian);
  else cursor.view.setFloat32(at, value, cursor.littleEndian);
}

export const FLOAT: Codec<number> = {
  name: "float",
  zero: 0,
  compare: ascending,
  read: (cursor) => Math.fround(readReal(cursor)),
  write(cursor, value) {
    if (typeof value !== "number") throw wrongType("float", "a number", value);
    writeReal(cursor, Math.fround(value));
  },
};

export const DOUBLE: Codec<number> = {
  name: "double",
  zero: 0,
  compare: ascending,
  read: readReal,
  write(cursor, value) {
    if (typeof value !== "number") throw wrongType("double", "a number", value);
    writeReal(cursor, value);
  },
};

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
