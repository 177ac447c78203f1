/**
 * Qt's QVariant: a value that tells its type.
 *
 * @module
 */

import { QBitArray } from "./bit_array.ts";
import type { Codec } from "./codec.ts";
import type { Cursor } from "./cursor.ts";
import { QDate, QTime } from "./date_time.ts";
import { describe, wrongType } from "./misuse.ts";
import { QDateTime } from "./moment.ts";
import { CSTRING, isBytes, QBYTEARRAY, QSTRING } from "./text.ts";
import { QT_5_0, QT_6_0, STATUS } from "./versions.ts";

/** What is written as a QVariant: one, an object that looks like one, or a plain value as in {@linkcode QVariant.of}. */
export type QVariantLike = unknown;

/**
 * A value of one of Qt's types, and its name: an `int` and a `double` are both a number, but not the same to Qt.
 *
 * An invalid one, which Qt uses for "nothing", has the type `""` and the value `null`.
 *
 * @example Usage
 * ```ts
 * import { QDataStream, QVariant } from "qshm/qt";
 *
 * const bytes = new QDataStream().writeQVariant(new QVariant("double", 1)).writeQVariant("plain").bytes();
 * const stream = new QDataStream(bytes);
 * const { type, value } = stream.readQVariant();
 * console.assert(type === "double" && value === 1);
 * console.assert(stream.readQVariant().type === "QString");
 * ```
 */
export class QVariant {
  /** Qt's name of the type, such as `"int"`, `"QString"` or `"QVariantMap"`; `""`: invalid. */
  readonly type: string;
  /** The value, as `read(type)` gives it. */
  readonly value: unknown;
  /** Has it a type only, and no value? `value` is then what Qt has there, such as 0. */
  readonly isNull: boolean;

  /** Without a value it is null; of which type is checked when it is written. */
  constructor(type: string, value?: unknown, isNull: boolean = value === undefined && type !== "QJsonValue") {
    if (typeof type !== "string") throw wrongType("QVariant's type", "a string", type);
    this.type = type;
    this.value = value;
    this.isNull = isNull;
  }

  /** Has it a type? */
  get isValid(): boolean {
    return this.type !== "";
  }

  /**
   * Makes one of a plain value: a boolean is a `bool`; a number an `int` if it fits and else a `double`; a bigint a
   * `qlonglong`, or `qulonglong`; a string, Uint8Array, Date or an object of one of Qt's types is what it is; an array a
   * `QVariantList`; a Map or a plain object a `QVariantMap`; `null` and `undefined` are invalid. An object that has nothing
   * but `type`, `value` and perhaps `isNull` is taken for a QVariant.
   *
   * @param value Any of them.
   * @returns The variant; one that is given as it is. TypeError for other values.
   *
   * @example Usage
   * ```ts
   * import { QVariant } from "qshm/qt";
   *
   * console.assert(QVariant.of(5).type === "int" && QVariant.of(0.5).type === "double");
   * console.assert(QVariant.of({ name: "x" }).type === "QVariantMap");
   * console.assert(!QVariant.of(null).isValid);
   * ```
   */
  static of(value: QVariantLike): QVariant {
    if (value instanceof QVariant) return value;
    switch (typeof value) {
      case "undefined": return INVALID;
      case "boolean": return new QVariant("bool", value);
      case "number": return new QVariant((value | 0) === value && !Object.is(value, -0) ? "int" : "double", value);
      case "bigint": return new QVariant(value < 2n ** 63n ? "qlonglong" : "qulonglong", value);
      case "string": return new QVariant("QString", value);
      case "object": return ofObject(value);
      default: throw new TypeError(`A QVariant must be made of a value: got ${describe(value)}`);
    }
  }

  /**
   * The value without types: lists as arrays, QVariantMap and QVariantHash as plain objects, invalid and null ones as `null`.
   *
   * @returns A plain value; what has no plain form, such as a QDate, as it is.
   *
   * @example Usage
   * ```ts
   * import { QVariant } from "qshm/qt";
   *
   * const settings = QVariant.of({ size: [3, 4], title: "x" }).toPlain() as { size: number[]; title: string };
   * console.assert(settings.size[1] === 4 && settings.title === "x");
   * ```
   */
  toPlain(): unknown {
    if (this.isNull || !this.isValid) return null;
    return plain(this.value);
  }
}

function plain(value: unknown): unknown {
  if (value instanceof QVariant) return value.toPlain();
  if (Array.isArray(value)) return value.map((item) => (isVariantLike(item) ? QVariant.of(item).toPlain() : plain(item)));
  if (!(value instanceof Map)) return value;
  return Object.fromEntries(Array.from(value, ([key, item]) => [key ?? "", isVariantLike(item) ? QVariant.of(item).toPlain() : plain(item)]));
}

/** What Qt calls an invalid QVariant. */
const INVALID = new QVariant("", null, true);

function isVariantLike(value: unknown): value is { readonly type: string; readonly value?: unknown; readonly isNull?: boolean } {
  if (typeof value !== "object" || value === null || !("type" in value) || typeof value.type !== "string") return false;
  return "value" in value && Object.keys(value).every((key) => ["type", "value", "isNull"].includes(key));
}

function ofObject(value: object | null): QVariant {
  if (value === null) return INVALID;
  if (isVariantLike(value)) return new QVariant(value.type, value.value, value.isNull);
  if (Array.isArray(value)) return new QVariant("QVariantList", value);
  if (value instanceof Map) return new QVariant("QVariantMap", value);
  if (isBytes(value)) return new QVariant("QByteArray", value);
  if (value instanceof Date) return new QVariant("QDateTime", QDateTime.fromDate(value));
  if (value instanceof QDate) return new QVariant("QDate", value);
  if (value instanceof QTime) return new QVariant("QTime", value);
  if (value instanceof QDateTime) return new QVariant("QDateTime", value);
  if (value instanceof QBitArray) return new QVariant("QBitArray", value);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) return new QVariant("QVariantMap", new Map(Object.entries(value)));
  throw new TypeError(`A QVariant must be made of plain values, or be given its type: got ${describe(value)}`);
}

/** What a QVariant needs to know of the other types. */
export interface VariantTypes {
  /** A built-in type by its number since Qt 5; `undefined`: there is none. */
  byNumber(number: number): Codec<unknown> | undefined;
  /** Any type by its name; `undefined`: there is none. */
  byName(name: string): Codec<unknown> | undefined;
  /** The number of a built-in type; `undefined`: it is a user's. */
  numberOf(codec: Codec<unknown>): number | undefined;
}

/** The mark of a type that is told by name. Qt reads the newest one in Qt 5's versions as well. */
const QT_4_USER = 0x7f;
const QT_5_USER = 0x400;
const QT_6_USER = 0x10000;
/** Qt 4 had its later types elsewhere. */
const QT_4_FIRST_EXTENDED = 128;
const QT_4_SHIFT = 97;
const FIRST_SHIFTED = QT_4_FIRST_EXTENDED - QT_4_SHIFT;
/** Types that came with Qt 5 and that Qt 6 still tells by name to Qt 4; and those that came with Qt 6. */
const QUUID_NUMBER = 30;
const FIRST_OF_QT_6 = 56;

/** Makes the codec of QVariant, which all types may stand in, and which may stand in them. */
export function variantCodec(types: VariantTypes): Codec<QVariant> {
  function readType(cursor: Cursor): { codec: Codec<unknown> | undefined; isNull: boolean; failed: boolean } {
    let number = cursor.readUint32();
    if (cursor.version < QT_5_0) {
      if (number === QT_4_USER) number = QT_5_USER;
      else if (number >= QT_4_FIRST_EXTENDED && number !== QT_5_USER) number -= QT_4_SHIFT;
    }
    if (cursor.version < QT_6_0 && number === QT_5_USER) number = QT_6_USER;
    const isNull = (cursor.readByte() & 1) === 1; // the other bits are lost in Qt
    if (number !== QT_6_USER) return { codec: types.byNumber(number), isNull, failed: false };
    const codec = types.byName(nameOf(QBYTEARRAY.read(cursor)));
    if (codec === undefined) cursor.fail(STATUS.ReadCorruptData);
    return { codec, isNull, failed: codec === undefined };
  }

  function writeType(cursor: Cursor, codec: Codec<unknown>, isNull: boolean): void {
    const number = types.numberOf(codec);
    const named = number === undefined || (cursor.version < QT_6_0 && number >= FIRST_OF_QT_6) ||
      (cursor.version < QT_5_0 && number === QUUID_NUMBER);
    const user = cursor.version < QT_5_0 ? QT_4_USER : cursor.version < QT_6_0 ? QT_5_USER : QT_6_USER;
    cursor.writeUint32(named ? user : cursor.version < QT_5_0 && number >= FIRST_SHIFTED ? number + QT_4_SHIFT : number);
    cursor.writeByte(isNull ? 1 : 0);
    if (named) CSTRING.write(cursor, codec.name);
  }

  return {
    name: "QVariant",
    zero: INVALID,
    read(cursor) {
      if (!cursor.enter()) return INVALID;
      try {
        const { codec, isNull, failed } = readType(cursor);
        if (codec !== undefined) return new QVariant(codec.name, codec.read(cursor), isNull);
        if (!failed && cursor.version < QT_5_0) QSTRING.read(cursor); // Qt 4 wrote something
        return INVALID;
      } finally {
        cursor.leave();
      }
    },
    write(cursor, value) {
      const variant = QVariant.of(value);
      cursor.enter();
      if (variant.isValid) {
        const codec = types.byName(variant.type);
        if (codec === undefined) throw new TypeError(`There is no type ${describe(variant.type)}: a QVariant's type must be one of Qt's`);
        writeType(cursor, codec, variant.isNull);
        codec.write(cursor, variant.value === undefined && variant.isNull ? codec.zero : variant.value);
      } else {
        cursor.writeUint32(0);
        cursor.writeByte(1);
        if (cursor.version < QT_5_0) QSTRING.write(cursor, null);
      }
      cursor.leave();
    },
  };
}

/** Ends at the first NUL. */
function nameOf(bytes: Uint8Array | null): string {
  let name = "";
  for (const byte of bytes?.subarray(0, 1000) ?? []) {
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  return name;
}
