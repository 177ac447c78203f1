/**
 * QDataStream: Qt's format for values, in bytes.
 *
 * @module
 */

import { QBITARRAY, type QBitArray } from "./bit_array.ts";
import type { Codec } from "./codec.ts";
import { Cursor } from "./cursor.ts";
import { QDATE, type QDate, QTIME, type QTime } from "./date_time.ts";
import type { QLine, QPoint, QRect, QSize } from "./geometry.ts";
import { QLINE, QLINEF, QPOINT, QPOINTF, QRECT, QRECTF, QSIZE, QSIZEF } from "./geometry.ts";
import { type QJson, QJSONDOCUMENT } from "./json.ts";
import { describe, wrongType } from "./misuse.ts";
import { QDATETIME, type QDateTime } from "./moment.ts";
import { ScalarStream } from "./scalar_stream.ts";
import { CSTRING, isBytes, QBYTEARRAY, QLOCALE, QSTRING, QURL, QUUID } from "./text.ts";
import { codecOf, QSTRINGLIST, QVARIANT, QVARIANTHASH, QVARIANTLIST, QVARIANTMAP } from "./types.ts";
import type { QVariant, QVariantLike } from "./variant.ts";

/**
 * Reads and writes bytes in the format of Qt's QDataStream, of all versions from Qt 4.6 to Qt 6.9.
 *
 * A stream over bytes reads, one made of nothing writes. As in Qt, reading never throws: when bytes are missing or make no
 * sense, `status()` tells, the first error stays, and values are zero, empty or null. Writing a value that its type cannot
 * hold throws a TypeError or RangeError, and writes nothing. After an error nothing is written either.
 *
 * 64-bit integers are bigints. Strings and byte arrays may be `null`, which is not the same as empty. A QList is an array, a
 * QSet a Set, a QMap or QHash a Map, a QMultiMap or QMultiHash an array of pairs, a QPair an array of two.
 *
 * Values may stand in values 512 deep, a QVariantList in a QVariant counting as two; what is deeper is `ReadCorruptData`.
 *
 * @example Write and read
 * ```ts
 * import { QDataStream } from "qshm/qt";
 *
 * const out = new QDataStream().setVersion(QDataStream.Qt_5_15);
 * out.writeQString("name").writeQint32(42).write("QMap<QString,qint32>", new Map([["a", 1]]));
 *
 * const stream = new QDataStream(out.bytes()).setVersion(QDataStream.Qt_5_15);
 * console.assert(stream.readQString() === "name" && stream.readQint32() === 42);
 * console.assert(stream.read<Map<string, number>>("QMap<QString,qint32>").get("a") === 1);
 * console.assert(stream.status() === QDataStream.Ok && stream.atEnd());
 * ```
 *
 * @example What may not be there whole
 * ```ts
 * import { QDataStream } from "qshm/qt";
 *
 * const stream = new QDataStream(Uint8Array.of(0, 0, 0, 4, 0, 65));
 * stream.startTransaction();
 * const text = stream.readQString();
 * console.assert(text === null && !stream.commitTransaction());
 * console.assert(stream.status() === QDataStream.ReadPastEnd && stream.pos() === 0);
 * ```
 */
export class QDataStream extends ScalarStream {
  readonly #cursor: Cursor;

  /** Reads bytes, which must not be changed meanwhile; without them it writes into bytes of its own. */
  constructor(bytes?: Uint8Array) {
    if (bytes !== undefined && !isBytes(bytes)) throw wrongType("QDataStream's source", "a Uint8Array", bytes);
    const cursor = new Cursor(bytes);
    super(cursor);
    this.#cursor = cursor;
  }

  /**
   * Reads a value of a type that Qt has a name for, such as `"QMap<QString,qint32>"`. TypeError if there is no such type.
   * `T` is what one knows about it: it is not checked.
   */
  read<T = unknown>(type: string): T {
    return named(type).read(this.#cursor) as T;
  }

  /** Writes a value of a type that Qt has a name for. TypeError if there is no such type, or the value is none of it. */
  write(type: string, value: unknown): this {
    return this.#write(named(type), value);
  }

  /** Reads a QString; `null` is Qt's null one. */
  readQString(): string | null {
    return QSTRING.read(this.#cursor);
  }

  /** Writes a QString; `null` is Qt's null one. */
  writeQString(value: string | null): this {
    return this.#write(QSTRING, value);
  }

  /** Reads a QByteArray, as a copy; `null` is Qt's null one. */
  readQByteArray(): Uint8Array | null {
    return QBYTEARRAY.read(this.#cursor);
  }

  /** Writes a QByteArray. */
  writeQByteArray(value: Uint8Array | null): this {
    return this.#write(QBYTEARRAY, value);
  }

  /** Reads a `const char *`, as UTF-8; `null` is a null pointer. */
  readCString(): string | null {
    return CSTRING.read(this.#cursor);
  }

  /** Writes a `const char *`, as UTF-8; `null` is a null pointer. */
  writeCString(value: string | null): this {
    return this.#write(CSTRING, value);
  }

  /** Reads a QStringList. */
  readQStringList(): (string | null)[] {
    return QSTRINGLIST.read(this.#cursor) as (string | null)[];
  }

  /** Writes a QStringList. */
  writeQStringList(value: readonly (string | null)[]): this {
    return this.#write(QSTRINGLIST, value);
  }

  /** Reads a QVariant. */
  readQVariant(): QVariant {
    return QVARIANT.read(this.#cursor);
  }

  /** Writes a QVariant. */
  writeQVariant(value: QVariantLike): this {
    return this.#write(QVARIANT, value as QVariant);
  }

  /** Reads a QVariantList. */
  readQVariantList(): QVariant[] {
    return QVARIANTLIST.read(this.#cursor) as QVariant[];
  }

  /** Writes a QVariantList. */
  writeQVariantList(value: readonly QVariantLike[]): this {
    return this.#write(QVARIANTLIST, value as readonly QVariant[]);
  }

  /** Reads a QVariantMap. */
  readQVariantMap(): Map<string | null, QVariant> {
    return QVARIANTMAP.read(this.#cursor) as Map<string | null, QVariant>;
  }

  /** Writes a QVariantMap. */
  writeQVariantMap(value: ReadonlyMap<string | null, QVariantLike>): this {
    return this.#write(QVARIANTMAP, value as ReadonlyMap<string | null, QVariant>);
  }

  /** Reads a QVariantHash. */
  readQVariantHash(): Map<string | null, QVariant> {
    return QVARIANTHASH.read(this.#cursor) as Map<string | null, QVariant>;
  }

  /** Writes a QVariantHash. */
  writeQVariantHash(value: ReadonlyMap<string | null, QVariantLike>): this {
    return this.#write(QVARIANTHASH, value as ReadonlyMap<string | null, QVariant>);
  }

  /** Reads a QUuid, such as `"{67c8770b-44f1-410a-ab9a-f9b5446f13ee}"`; `null` is that of zeros. */
  readQUuid(): string | null {
    return QUUID.read(this.#cursor);
  }

  /** Writes a QUuid, such as `"{67c8770b-44f1-410a-ab9a-f9b5446f13ee}"`; `null` is that of zeros. */
  writeQUuid(value: string | null): this {
    return this.#write(QUUID, value);
  }

  /** Reads a QDate. */
  readQDate(): QDate | null {
    return QDATE.read(this.#cursor);
  }

  /** Writes a QDate. */
  writeQDate(value: QDate | null): this {
    return this.#write(QDATE, value);
  }

  /** Reads a QTime. */
  readQTime(): QTime | null {
    return QTIME.read(this.#cursor);
  }

  /** Writes a QTime. */
  writeQTime(value: QTime | null): this {
    return this.#write(QTIME, value);
  }

  /** Reads a QDateTime; before Qt 5.2 its offset or zone is lost. */
  readQDateTime(): QDateTime | null {
    return QDATETIME.read(this.#cursor);
  }

  /** Writes a QDateTime; before Qt 5.2 its offset or zone is lost. */
  writeQDateTime(value: QDateTime | null): this {
    return this.#write(QDATETIME, value);
  }

  /** Reads a QUrl, as its encoded text. */
  readQUrl(): string {
    return QURL.read(this.#cursor);
  }

  /** Writes a QUrl, as its encoded text. */
  writeQUrl(value: string): this {
    return this.#write(QURL, value);
  }

  /** Reads a QLocale, as its name. */
  readQLocale(): string {
    return QLOCALE.read(this.#cursor);
  }

  /** Writes a QLocale, as its name. */
  writeQLocale(value: string): this {
    return this.#write(QLOCALE, value);
  }

  /** Reads a QBitArray. */
  readQBitArray(): QBitArray {
    return QBITARRAY.read(this.#cursor);
  }

  /** Writes a QBitArray. */
  writeQBitArray(value: QBitArray): this {
    return this.#write(QBITARRAY, value);
  }

  /** Reads a QPoint. */
  readQPoint(): QPoint {
    return QPOINT.read(this.#cursor);
  }

  /** Writes a QPoint. */
  writeQPoint(value: QPoint): this {
    return this.#write(QPOINT, value);
  }

  /** Reads a QPointF. */
  readQPointF(): QPoint {
    return QPOINTF.read(this.#cursor);
  }

  /** Writes a QPointF. */
  writeQPointF(value: QPoint): this {
    return this.#write(QPOINTF, value);
  }

  /** Reads a QSize. */
  readQSize(): QSize {
    return QSIZE.read(this.#cursor);
  }

  /** Writes a QSize. */
  writeQSize(value: QSize): this {
    return this.#write(QSIZE, value);
  }

  /** Reads a QSizeF. */
  readQSizeF(): QSize {
    return QSIZEF.read(this.#cursor);
  }

  /** Writes a QSizeF. */
  writeQSizeF(value: QSize): this {
    return this.#write(QSIZEF, value);
  }

  /** Reads a QLine. */
  readQLine(): QLine {
    return QLINE.read(this.#cursor);
  }

  /** Writes a QLine. */
  writeQLine(value: QLine): this {
    return this.#write(QLINE, value);
  }

  /** Reads a QLineF. */
  readQLineF(): QLine {
    return QLINEF.read(this.#cursor);
  }

  /** Writes a QLineF. */
  writeQLineF(value: QLine): this {
    return this.#write(QLINEF, value);
  }

  /** Reads a QRect. */
  readQRect(): QRect {
    return QRECT.read(this.#cursor);
  }

  /** Writes a QRect. */
  writeQRect(value: QRect): this {
    return this.#write(QRECT, value);
  }

  /** Reads a QRectF. */
  readQRectF(): QRect {
    return QRECTF.read(this.#cursor);
  }

  /** Writes a QRectF. */
  writeQRectF(value: QRect): this {
    return this.#write(QRECTF, value);
  }

  /** Reads a QJsonDocument; `null` is an empty one. */
  readQJsonDocument(): QJson {
    return QJSONDOCUMENT.read(this.#cursor);
  }

  /** Writes a QJsonDocument; `null` is an empty one. */
  writeQJsonDocument(value: QJson): this {
    return this.#write(QJSONDOCUMENT, value);
  }

  /** All or nothing. */
  #write<T>(codec: Codec<T>, value: T): this {
    const { position, depth } = this.#cursor;
    try {
      codec.write(this.#cursor, value);
    } catch (error) {
      this.#cursor.position = position;
      this.#cursor.depth = depth;
      throw error;
    }
    return this;
  }
}

function named(type: string): Codec<unknown> {
  const codec = typeof type === "string" ? codecOf(type) : undefined;
  if (codec !== undefined) return codec;
  throw new TypeError(`There is no type ${describe(type)}: names are Qt's, such as "QString" or "QMap<QString,qint32>"`);
}
