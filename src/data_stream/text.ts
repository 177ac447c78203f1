/**
 * Strings and bytes.
 *
 * @module
 */

import { ascending, type Codec } from "./codec.ts";
import { type Cursor, NULL_SIZE } from "./cursor.ts";
import { wrongType } from "./misuse.ts";
import { STATUS } from "./versions.ts";

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const decoders = { be: new TextDecoder("utf-16be", { ignoreBOM: true }), le: new TextDecoder("utf-16le", { ignoreBOM: true }) };
/** Arguments of one call. */
const CHUNK = 4096;
/** UTF-16 units from which a TextDecoder is faster. */
const LONG = 512;

function decodeUnits(cursor: Cursor, start: number, end: number): string {
  if (end - start >= LONG * 2 && cursor.bytes.buffer instanceof ArrayBuffer) {
    const text = decoders[cursor.littleEndian ? "le" : "be"].decode(cursor.bytes.subarray(start, end));
    if (!text.includes("\ufffd")) return text; // else: perhaps a lone surrogate, which is to stay
  }
  const { bytes } = cursor;
  const [high, low] = cursor.littleEndian ? [1, 0] : [0, 1];
  let text = "";
  for (let at = start; at < end;) {
    const units = new Array<number>(Math.min(CHUNK, (end - at) / 2));
    for (let i = 0; i < units.length; i++, at += 2) units[i] = bytes[at + high]! << 8 | bytes[at + low]!;
    text += String.fromCharCode.apply(null, units);
  }
  return text;
}

/** `null` and `""` are different strings, that Qt calls null and empty; in a QMap they are one key. */
export const QSTRING: Codec<string | null> = {
  name: "QString",
  zero: null,
  compare: (a, b) => ascending(a ?? "", b ?? ""),
  read(cursor) {
    const size = cursor.readSize();
    if (size === 0) return "";
    if (size === -1) return null;
    if (size < 0 || size % 2 !== 0) {
      cursor.fail(size < 0 ? STATUS.SizeLimitExceeded : STATUS.ReadCorruptData);
      return null;
    }
    const start = cursor.take(size);
    return start < 0 ? null : decodeUnits(cursor, start, start + size);
  },
  write(cursor, value) {
    if (value === null) return cursor.writeUint32(NULL_SIZE);
    if (typeof value !== "string") throw wrongType("QString", "a string or null", value);
    const { length } = value; // JavaScript's longest string is far from what a quint32 cannot count
    const start = cursor.put(4 + length * 2);
    if (start < 0) return;
    const { bytes, view, littleEndian } = cursor;
    view.setUint32(start, length * 2, littleEndian);
    const high = start + (littleEndian ? 5 : 4);
    const low = start + (littleEndian ? 4 : 5);
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i);
      bytes[high + i * 2] = unit >> 8;
      bytes[low + i * 2] = unit;
    }
  },
};

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return a.length - b.length;
}

const tagOf: (this: unknown) => string | undefined = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
)!.get!;

/** Is it a Uint8Array, of whatever realm? */
export function isBytes(value: unknown): value is Uint8Array {
  return tagOf.call(value) === "Uint8Array";
}

/** Copies bytes out of the stream. */
export function copy(cursor: Cursor, start: number, size: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(cursor.bytes.subarray(start, start + size));
}

/** Puts bytes into the stream as they are. */
export function putBytes(cursor: Cursor, bytes: Uint8Array): void {
  const at = cursor.put(bytes.length);
  if (at >= 0) cursor.bytes.set(bytes, at);
}

/** The bytes are a copy. */
export const QBYTEARRAY: Codec<Uint8Array<ArrayBufferLike> | null> = {
  name: "QByteArray",
  zero: null,
  compare: (a, b) => compareBytes(a ?? new Uint8Array(0), b ?? new Uint8Array(0)),
  read(cursor) {
    const size = cursor.readSize();
    if (size === -1) return null;
    if (size < 0) cursor.fail(STATUS.SizeLimitExceeded);
    const start = size < 0 ? -1 : cursor.take(size);
    // The size itself may be missing: then it is 0, and the array is empty.
    return start < 0 ? (size === 0 ? new Uint8Array(0) : null) : copy(cursor, start, size);
  },
  write(cursor, value) {
    if (value === null) return cursor.writeUint32(NULL_SIZE);
    if (!isBytes(value)) throw wrongType("QByteArray", "a Uint8Array or null", value);
    if (cursor.writeSize(value.length)) putBytes(cursor, value);
  },
};

/** Counted bytes of which there is no null: `writeBytes()` and `readBytes()`. */
export const BYTES: Codec<Uint8Array> = {
  name: "bytes",
  zero: new Uint8Array(0),
  read(cursor) {
    const size = cursor.readCount();
    const start = size === 0 ? -1 : cursor.take(size);
    return start < 0 ? new Uint8Array(0) : copy(cursor, start, size);
  },
  write(cursor, value) {
    if (!isBytes(value)) throw wrongType("block of bytes", "a Uint8Array", value);
    if (cursor.writeSize(value.length)) putBytes(cursor, value);
  },
};

/** Ends with a NUL that counts: C++ sees no more than what stands before the first. Null is a count of 0. */
export const CSTRING: Codec<string | null> = {
  name: "const char*",
  zero: null,
  read(cursor) {
    const bytes = BYTES.read(cursor);
    if (bytes.length === 0) return null;
    const end = bytes.indexOf(0);
    return utf8Decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
  write(cursor, value) {
    if (value === null) return cursor.writeUint32(0);
    if (typeof value !== "string" || value.includes("\0")) throw wrongType("const char*", "a string without NUL, or null", value);
    BYTES.write(cursor, utf8.encode(`${value}\0`));
  },
};

/** What cannot stand in an encoded URL. */
const UNENCODED = /[^!-~]/gu;

/** An encoded URL, as `URL.href` gives it; `""` is Qt's empty one. */
export const QURL: Codec<string> = {
  name: "QUrl",
  zero: "",
  compare: ascending,
  read(cursor) {
    let text = "";
    for (const byte of QBYTEARRAY.read(cursor) ?? []) text += String.fromCharCode(byte);
    return text.replace(UNENCODED, encodeURIComponent);
  },
  write(cursor, value) {
    if (typeof value !== "string") throw wrongType("QUrl", "a string", value);
    QBYTEARRAY.write(cursor, value === "" ? null : utf8.encode(value.toWellFormed().replace(UNENCODED, encodeURIComponent)));
  },
};

/** Its name, such as `"de_DE"`. */
export const QLOCALE: Codec<string> = {
  name: "QLocale",
  zero: "C",
  read: (cursor) => QSTRING.read(cursor) || "C",
  write(cursor, value) {
    if (typeof value !== "string") throw wrongType("QLocale", 'a string such as "de_DE"', value);
    QSTRING.write(cursor, value);
  },
};

const UUID = /^\{?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}?$/i;

const hex = (value: number | bigint, digits: number): string => value.toString(16).padStart(digits, "0");

/** In braces, as QUuid writes it; `null` is the null one, of zeros only. */
export const QUUID: Codec<string | null> = {
  name: "QUuid",
  zero: null,
  compare: (a, b) => ascending(a ?? "", b ?? ""),
  read(cursor) {
    const at = cursor.take(16);
    if (at < 0) return null;
    const { view, littleEndian } = cursor;
    const [first, second, third] = [view.getUint32(at, littleEndian), view.getUint16(at + 4, littleEndian), view.getUint16(at + 6, littleEndian)];
    const [fourth, fifth] = [hex(view.getUint16(at + 8), 4), hex(view.getBigUint64(at + 8) & 0xffffffffffffn, 12)];
    const text = `{${hex(first, 8)}-${hex(second, 4)}-${hex(third, 4)}-${fourth}-${fifth}}`;
    return text === "{00000000-0000-0000-0000-000000000000}" ? null : text;
  },
  write(cursor, value) {
    if (typeof value !== "string" && value !== null) throw wrongType("QUuid", "a string or null", value);
    const parts = value === null ? [0, 0, 0, 0, 0] : UUID.exec(value)?.slice(1).map((part) => parseInt(part, 16));
    if (parts === undefined) throw wrongType("QUuid", 'a string such as "{67c8770b-44f1-410a-ab9a-f9b5446f13ee}"', value);
    const at = cursor.put(16);
    if (at < 0) return;
    const { view, littleEndian } = cursor;
    view.setUint32(at, parts[0]!, littleEndian);
    view.setUint16(at + 4, parts[1]!, littleEndian);
    view.setUint16(at + 6, parts[2]!, littleEndian);
    view.setUint16(at + 8, parts[3]!);
    view.setUint16(at + 10, parts[4]! / 2 ** 32);
    view.setUint32(at + 12, parts[4]! % 2 ** 32);
  },
};
