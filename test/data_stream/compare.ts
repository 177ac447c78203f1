/**
 * Compares QDataStream with the vectors that real Qt made, in whatever runtime this is. Local time has to be that of
 * Europe/Berlin (TZ), as it was for Qt. Those in qdatastream-more.json are of Qt 6.4.2: types, zones and versions that the
 * other files lack. One JSON line with what was compared, and what differs.
 */

import { readFileSync } from "node:fs";
import { QDataStream, QDateTime, type QVariant } from "../../src/data_stream/mod.ts";
import { bytesOf, hexOf, show, valueOf } from "./values.ts";

interface Vector {
  readonly version: string;
  readonly versionNumber: number;
  readonly type: string;
  readonly value: any;
  readonly byteOrder: "big" | "little";
  readonly precision: "single" | "double";
  readonly hex: string;
}

interface ErrorVector {
  readonly versionNumber: number;
  readonly type: string;
  readonly hex: string;
  readonly status: "Ok" | "ReadPastEnd" | "ReadCorruptData";
  readonly value: any;
  readonly consumed: number;
}

const differences: string[] = [];

function expectEqual(what: string, got: string, wanted: string): void {
  if (got !== wanted) differences.push(`${what}: got ${got}, wanted ${wanted}`);
}

function load<T>(name: string): readonly T[] {
  return JSON.parse(readFileSync(new URL(`../interop/golden/${name}.json`, import.meta.url), "utf8"));
}

function streamOf({ version, versionNumber, byteOrder, precision }: Vector, bytes?: Uint8Array): QDataStream {
  const number = (QDataStream as unknown as Record<string, number>)[version];
  expectEqual(`QDataStream.${version}`, `${number}`, `${versionNumber}`);
  return new QDataStream(bytes).setVersion(versionNumber)
    .setByteOrder(byteOrder === "big" ? QDataStream.BigEndian : QDataStream.LittleEndian)
    .setFloatingPointPrecision(precision === "single" ? QDataStream.SinglePrecision : QDataStream.DoublePrecision);
}

/** With single precision a double comes back as a float, as in Qt. */
function rounded(type: string, value: any, precision: string): unknown {
  if (precision === "double") return value;
  if (typeof value === "number" && ["double", "float"].includes(type)) return Math.fround(value);
  return Array.isArray(value) && type === "QList<double>" ? value.map(Math.fround) : value;
}

/** What a QDateTime that was written with an old version is when it is read again: taken from Qt 6.4's answers. */
function remembered(value: unknown, version: number): unknown {
  if (!(value instanceof QDateTime) || version >= QDataStream.Qt_5_2) return value;
  const { date, time, spec } = value;
  if (version === QDataStream.Qt_5_0) return QDateTime.fromDate(value.toDate(), spec === "LocalTime" || spec === "TimeZone" ? "LocalTime" : "UTC");
  return new QDateTime(date, time, spec === "UTC" || spec === "OffsetFromUTC" ? "UTC" : "LocalTime");
}

/** A sequence is several values, one after the other. */
function itemsOf({ type, value }: Vector): [type: string, value: unknown][] {
  if (type !== "sequence") return [[type, valueOf(type, value)]];
  return value.map((item: Record<string, unknown>) => Object.entries(item).map(([name, content]) => [name, valueOf(name, content)])[0]);
}

/** The typed methods of a type, if it has some. */
function method(stream: QDataStream, verb: "read" | "write", type: string): ((value?: unknown) => unknown) | undefined {
  const name = type === "cstring" ? "CString" : type[0]!.toUpperCase() + type.slice(1);
  const found = (stream as unknown as Record<string, unknown>)[verb + name];
  return typeof found === "function" ? found.bind(stream) : undefined;
}

let typed = 0;

function compareRead(vector: Vector): void {
  const what = `read ${vector.type} ${vector.hex} ${vector.version} ${vector.byteOrder} ${vector.precision}`;
  const bytes = bytesOf(vector.hex);
  const stream = streamOf(vector, bytes);
  const other = streamOf(vector, bytes);
  for (const [type, value] of itemsOf(vector)) {
    const wanted = show(remembered(rounded(type, value, vector.precision), vector.versionNumber));
    expectEqual(what, show(stream.read(type)), wanted);
    const read = method(other, "read", type);
    if (read !== undefined) expectEqual(`${what} with its method`, show(read()), wanted);
    else other.read(type);
    typed += read === undefined ? 0 : 1;
  }
  expectEqual(`${what}, the end`, `${stream.status()} ${stream.atEnd()} ${stream.pos()}`, `0 true ${bytes.length}`);
  expectEqual(`${what}, the end with methods`, `${other.status()} ${other.pos()}`, `0 ${bytes.length}`);
}

function compareWrite(vector: Vector): void {
  const what = `write ${vector.type} ${JSON.stringify(vector.value)} ${vector.version} ${vector.byteOrder} ${vector.precision}`;
  const stream = streamOf(vector);
  const other = streamOf(vector);
  for (const [type, value] of itemsOf(vector)) {
    stream.write(type, value);
    const write = method(other, "write", type);
    if (write === undefined) other.write(type, value);
    else write(value);
  }
  expectEqual(what, hexOf(stream.bytes()), vector.hex);
  expectEqual(`${what} with its method`, hexOf(other.bytes()), vector.hex);
  expectEqual(`${what}, status`, `${stream.status()}`, "0");
}

/** Qt 5 writes maps in descending order: what is read is the same, and is written in ascending order. */
function compareDescending(vector: Vector): void {
  const stream = streamOf(vector, bytesOf(vector.hex));
  const got = show(stream.read(vector.type));
  const wanted = show(valueOf(vector.type, vector.value));
  expectEqual(`read ${vector.type} ${vector.hex}`, `${got} ${stream.status()} ${stream.atEnd()}`, `${wanted} 0 true`);
}

function shownVariant({ type, value, isNull, isValid }: QVariant): string {
  return show({ valid: isValid, typeName: isValid ? type : null, null: isNull, string: isNull || value === null ? null : String(value) });
}

function compareError({ type, hex, versionNumber, status, value, consumed }: ErrorVector): void {
  const stream = new QDataStream(bytesOf(hex)).setVersion(versionNumber);
  const got = stream.read(type);
  const shown = type === "QVariant" ? shownVariant(got as QVariant) : show(got);
  const wanted = type === "QVariant" ? value : type === "qint32" ? Number(value) : valueOf(type, value);
  const what = `read ${type} ${hex} of version ${versionNumber}`;
  expectEqual(what, `${shown} ${stream.status()} ${stream.pos()}`, `${show(wanted)} ${QDataStream[status]} ${consumed}`);
}

const vectors = load<Vector>("qdatastream");
const more = load<Vector>("qdatastream-more");
const errors = load<ErrorVector>("qdatastream-errors");
const descending = load<Vector>("qdatastream-qt5-differences");

function count<T>(list: readonly T[], compare: (vector: T) => void): { compared: number; of: number } {
  let compared = 0;
  for (const vector of list) {
    compare(vector);
    compared++;
  }
  return { compared, of: list.length };
}

const report = {
  read: count(vectors, compareRead),
  written: count(vectors, compareWrite),
  moreRead: count(more, compareRead),
  moreWritten: count(more, compareWrite),
  errors: count(errors, compareError),
  descending: count(descending, compareDescending),
  typed,
  differences,
};
console.log(JSON.stringify(report));
