/**
 * QJsonDocument and its parts: JSON values.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { describe, wrongType } from "./misuse.ts";
import { BOOL, DOUBLE } from "./scalars.ts";
import { QBYTEARRAY, QSTRING } from "./text.ts";
import { STATUS } from "./versions.ts";

/** What JSON can say. */
export type QJson = null | boolean | number | string | readonly QJson[] | { readonly [key: string]: QJson };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
/** Qt's own limit. */
const MAX_NESTING = 1024;

/** Compact, with sorted keys, as Qt writes it. */
function textOf(value: unknown, nesting = 0): string {
  if (nesting > MAX_NESTING) throw new RangeError(`JSON must not be nested deeper than ${MAX_NESTING}, or hold itself`);
  if (Array.isArray(value)) return `[${value.map((item) => textOf(item, nesting + 1)).join(",")}]`;
  if (typeof value === "object" && value !== null && (value.constructor === undefined || value.constructor === Object)) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${textOf(item, nesting + 1)}`).join(",")}}`;
  }
  if (typeof value === "number" && !Number.isFinite(value)) return "null"; // as Qt does
  if (value === null || ["boolean", "number", "string"].includes(typeof value)) return JSON.stringify(value);
  throw new TypeError(`JSON must consist of null, booleans, numbers, strings, arrays and plain objects: got ${describe(value)}`);
}

function nestingOf(text: string): number {
  let nesting = 0;
  let deepest = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, ++nesting);
    else if (token === "]" || token === "}") nesting--;
  }
  return deepest;
}

/** JavaScript reads a number that is too large as Infinity, Qt as an error. */
function isFinite(value: QJson): boolean {
  if (typeof value === "number") return Number.isFinite(value);
  return typeof value !== "object" || value === null || Object.values<QJson>(value).every(isFinite);
}

/** `undefined`: there is nothing. Else an array or an object; what is neither is an error. */
function readText(cursor: Cursor): QJson | undefined {
  const bytes = QBYTEARRAY.read(cursor);
  if (bytes === null || bytes.length === 0) return undefined;
  try {
    const text = decoder.decode(bytes);
    if (text.length > MAX_NESTING && nestingOf(text) > MAX_NESTING) throw new RangeError("Nested too deep");
    const value: QJson = JSON.parse(text);
    if (typeof value === "object" && value !== null && (!/\d{300}|e/i.test(text) || isFinite(value))) return value;
  } catch {
    // no JSON
  }
  cursor.fail(STATUS.ReadCorruptData);
  return undefined;
}

function writeText(cursor: Cursor, value: QJson): void {
  QBYTEARRAY.write(cursor, encoder.encode(textOf(value)));
}

const isObject = (value: unknown): value is { readonly [key: string]: QJson } =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const QJSONARRAY: Codec<readonly QJson[]> = {
  name: "QJsonArray",
  zero: [],
  read(cursor) {
    const value = readText(cursor);
    return Array.isArray(value) ? value : [];
  },
  write(cursor, value) {
    if (!Array.isArray(value)) throw wrongType("QJsonArray", "an array", value);
    writeText(cursor, value);
  },
};

export const QJSONOBJECT: Codec<{ readonly [key: string]: QJson }> = {
  name: "QJsonObject",
  zero: {},
  read(cursor) {
    const value = readText(cursor);
    return isObject(value) ? value : {};
  },
  write(cursor, value) {
    if (!isObject(value)) throw wrongType("QJsonObject", "an object", value);
    writeText(cursor, value);
  },
};

/** `null`: a null document. */
export const QJSONDOCUMENT: Codec<QJson> = {
  name: "QJsonDocument",
  zero: null,
  read: (cursor) => readText(cursor) ?? null,
  write(cursor, value) {
    if (value === null) return QBYTEARRAY.write(cursor, null);
    if (typeof value !== "object") throw wrongType("QJsonDocument", "an array, an object or null", value);
    writeText(cursor, value);
  },
};

const TYPES = { null: 0, boolean: 1, number: 2, string: 3, array: 4, object: 5, undefined: 0x80 } as const;

/** Any JSON value; `undefined` is one of its own in Qt. */
export const QJSONVALUE: Codec<QJson | undefined> = {
  name: "QJsonValue",
  zero: undefined,
  read(cursor) {
    switch (cursor.readByte()) {
      case TYPES.null: return null;
      case TYPES.boolean: return BOOL.read(cursor);
      case TYPES.number: return DOUBLE.read(cursor);
      case TYPES.string: return QSTRING.read(cursor) ?? "";
      case TYPES.array: return QJSONARRAY.read(cursor);
      case TYPES.object: return QJSONOBJECT.read(cursor);
      case TYPES.undefined: return undefined;
      default: cursor.fail(STATUS.ReadCorruptData);
    }
    return undefined;
  },
  write(cursor, value) {
    const type = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
    if (!(type in TYPES)) throw wrongType("QJsonValue", "what JSON can say, or undefined", value);
    cursor.writeByte(TYPES[type as keyof typeof TYPES]);
    if (typeof value === "boolean") BOOL.write(cursor, value);
    else if (typeof value === "number") DOUBLE.write(cursor, value);
    else if (typeof value === "string") QSTRING.write(cursor, value);
    else if (typeof value === "object" && value !== null) writeText(cursor, value);
  },
};
