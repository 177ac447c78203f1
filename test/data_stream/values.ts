/** The values of the vectors, which are JSON, as QDataStream takes and gives them, and back. */

import { QBitArray, QDate, QDateTime, QTime, QVariant } from "../../src/data_stream/mod.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const bytesOf = (hex: string): Uint8Array => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
export const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  QPoint: ["x", "y"],
  QPointF: ["x", "y"],
  QSize: ["width", "height"],
  QSizeF: ["width", "height"],
  QRect: ["x", "y", "width", "height"],
  QRectF: ["x", "y", "width", "height"],
  QLine: ["x1", "y1", "x2", "y2"],
  QLineF: ["x1", "y1", "x2", "y2"],
};

function parts(text: string): string[] {
  let depth = 0;
  return [...text].reduce<string[]>((list, letter) => {
    depth += letter === "<" ? 1 : letter === ">" ? -1 : 0;
    if (letter === "," && depth === 0) list.push("");
    else list[list.length - 1] += letter;
    return list;
  }, [""]);
}

const SAME: Readonly<Record<string, string>> = { qlonglong: "qint64", qulonglong: "quint64", long: "qint64", ulong: "quint64" };

/** A value of a vector, as it is written and read. */
export function valueOf(type: string, value: any): unknown {
  const [, template, inner] = /^([\w:]+)<(.*)>$/.exec(type) ?? [];
  if (template !== undefined) {
    const types = parts(inner!);
    if (template.endsWith("air")) return value.map((item: Json, i: number) => valueOf(types[i]!, item));
    if (types.length === 1) {
      const items = value.map((item: Json) => valueOf(types[0]!, item));
      return template === "QSet" ? new Set(items) : items;
    }
    const pairs = value.map(([k, v]: [Json, Json]) => [valueOf(types[0]!, k), valueOf(types[1]!, v)]);
    return template.startsWith("QMulti") ? pairs : new Map(pairs);
  }
  if (type.startsWith("QJson")) return value;
  if (type in FIELDS) return Object.fromEntries(FIELDS[type]!.map((field, i) => [field, value[i]]));
  switch (SAME[type] ?? type) {
    case "qint64":
    case "quint64": return BigInt(value);
    case "float": return Math.fround(Number(value));
    case "double": return Number(value);
    case "QByteArray": return value && bytesOf(value.hex);
    case "QBitArray": return QBitArray.from(value);
    case "QDate": return value && QDate.parse(value);
    case "QTime": return value && QTime.parse(value);
    case "QDateTime": return value && dateTimeOf(value);
    case "QByteArrayList": return valueOf("QList<QByteArray>", value);
    case "QVariantPair": return valueOf("QPair<QVariant,QVariant>", value);
    case "QVariantList": return valueOf("QList<QVariant>", value);
    case "QVariantMap": return valueOf("QMap<QString,QVariant>", value);
    case "QVariantHash": return valueOf("QHash<QString,QVariant>", value);
    case "QVariant": return variantOf(value);
  }
  return value;
}

function variantOf(value: any): QVariant {
  if (value === null) return QVariant.of(null);
  const { nullVariant = false, ...typed } = value;
  const [[type, content]] = Object.entries(typed) as [[string, Json]];
  return new QVariant(type, valueOf(type, content), nullVariant);
}

function dateTimeOf({ date, time, spec, offset, zone }: any): QDateTime {
  return new QDateTime(QDate.parse(date), QTime.parse(time), spec, offset ?? zone);
}

/** A value as text, in which all differ that are different: NaN and -0, null and empty, Map and pairs, types; the order of a Map does not count. */
export function show(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${hexOf(value)}`;
  if (value instanceof QVariant) return `${value.type || "invalid"}${value.isNull ? " null" : ""}(${show(value.value)})`;
  if (value instanceof Map) return `Map {${Array.from(value, ([k, v]) => `${show(k)}: ${show(v)}`).sort().join(", ")}}`;
  if (value instanceof Set) return `Set {${Array.from(value, show).join(", ")}}`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value instanceof QDate || value instanceof QTime || value instanceof QDateTime || value instanceof QBitArray) {
    return `${value.constructor.name} ${value}`;
  }
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value).map(([k, v]) => `${k}: ${show(v)}`).sort().join(", ")}}`;
  }
  return Object.is(value, -0) ? "-0" : String(value);
}
