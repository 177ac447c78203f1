/**
 * All types by name: `"QMap<QString,qint32>"` and the like, in Qt's words.
 *
 * @module
 */

import { QBITARRAY } from "./bit_array.ts";
import type { Codec } from "./codec.ts";
import { listOf, mapOf, multiMapOf, pairOf, setOf } from "./containers.ts";
import { QDATE, QTIME } from "./date_time.ts";
import { QLINE, QLINEF, QPOINT, QPOINTF, QRECT, QRECTF, QSIZE, QSIZEF } from "./geometry.ts";
import { QJSONARRAY, QJSONDOCUMENT, QJSONOBJECT, QJSONVALUE } from "./json.ts";
import { QDATETIME } from "./moment.ts";
import { REGULAR_EXPRESSION } from "./regular_expression.ts";
import * as scalar from "./scalars.ts";
import { CSTRING, QBYTEARRAY, QLOCALE, QSTRING, QURL, QUUID } from "./text.ts";
import { type QVariant, variantCodec } from "./variant.ts";

/** Templates in templates. */
const MAX_TEMPLATES = 16;
const LONGEST_NAME = 500;
/** Names that were met; those of a stream must not fill the memory. */
const MAX_CACHED = 1000;

/** The same type by the name that QVariant has for it. */
function renamed<T>(name: string, codec: Codec<T>): Codec<T> {
  return { ...codec, name };
}

export const QVARIANT: Codec<QVariant> = variantCodec({
  byNumber: (number) => BUILT_IN.get(number),
  byName: codecOf,
  numberOf: (codec) => NUMBERS.get(codec),
});
export const QSTRINGLIST: Codec<readonly (string | null)[]> = listOf("QStringList", QSTRING);
export const QVARIANTLIST: Codec<readonly QVariant[]> = listOf("QVariantList", QVARIANT);
export const QVARIANTMAP: Codec<ReadonlyMap<string | null, QVariant>> = mapOf("QVariantMap", QSTRING, QVARIANT, "sorted");
export const QVARIANTHASH: Codec<ReadonlyMap<string | null, QVariant>> = mapOf("QVariantHash", QSTRING, QVARIANT, "any");

/** The types that a QVariant tells by number, as of Qt 5 and 6. Others with a number are those of other libraries. */
const BUILT_IN: ReadonlyMap<number, Codec<unknown>> = new Map<number, Codec<unknown>>([
  [1, scalar.BOOL],
  [2, renamed("int", scalar.QINT32)],
  [3, renamed("uint", scalar.QUINT32)],
  [4, renamed("qlonglong", scalar.QINT64)],
  [5, renamed("qulonglong", scalar.QUINT64)],
  [6, scalar.DOUBLE],
  [7, scalar.QCHAR],
  [8, QVARIANTMAP],
  [9, QVARIANTLIST],
  [10, QSTRING],
  [11, QSTRINGLIST],
  [12, QBYTEARRAY],
  [13, QBITARRAY],
  [14, QDATE],
  [15, QTIME],
  [16, QDATETIME],
  [17, QURL],
  [18, QLOCALE],
  [19, QRECT],
  [20, QRECTF],
  [21, QSIZE],
  [22, QSIZEF],
  [23, QLINE],
  [24, QLINEF],
  [25, QPOINT],
  [26, QPOINTF],
  [28, QVARIANTHASH],
  [29, scalar.unreadable("QEasingCurve")],
  [30, QUUID],
  [31, scalar.unreadable("void*")],
  [32, renamed("long", scalar.QINT64)],
  [33, renamed("short", scalar.QINT16)],
  [34, renamed("char", scalar.QINT8)],
  [35, renamed("ulong", scalar.QUINT64)],
  [36, renamed("ushort", scalar.QUINT16)],
  [37, renamed("uchar", scalar.QUINT8)],
  [38, scalar.FLOAT],
  [39, scalar.unreadable("QObject*")],
  [40, renamed("signed char", scalar.QINT8)],
  [41, QVARIANT],
  [42, scalar.unreadable("QModelIndex")],
  [44, REGULAR_EXPRESSION],
  [45, QJSONVALUE],
  [46, QJSONOBJECT],
  [47, QJSONARRAY],
  [48, QJSONDOCUMENT],
  [49, listOf("QByteArrayList", QBYTEARRAY)],
  [50, scalar.unreadable("QPersistentModelIndex")],
  [51, scalar.NULLPTR],
  [52, renamed("QCborSimpleType", scalar.QUINT8)],
  [53, scalar.unreadable("QCborValue")],
  [54, scalar.unreadable("QCborArray")],
  [55, scalar.unreadable("QCborMap")],
  [56, renamed("char16_t", scalar.QUINT16)],
  [57, renamed("char32_t", scalar.QUINT32)],
  [58, pairOf("QVariantPair", QVARIANT, QVARIANT)],
]);

const NUMBERS: ReadonlyMap<Codec<unknown>, number> = new Map(Array.from(BUILT_IN, ([number, codec]) => [codec, number]));

const NAMED: ReadonlyMap<string, Codec<unknown>> = new Map<string, Codec<unknown>>([
  ...Array.from(BUILT_IN.values(), (codec): [string, Codec<unknown>] => [codec.name, codec]),
  ["const char*", CSTRING],
]);

/** Other names of the same type, which a QVariant knows by the first one only. */
const ALIASES: Readonly<Record<string, string>> = {
  qint8: "signed char",
  qint16: "short",
  qint32: "int",
  qint64: "qlonglong",
  quint8: "uchar",
  quint16: "ushort",
  quint32: "uint",
  quint64: "qulonglong",
  qreal: "double",
  "unsigned char": "uchar",
  "unsigned short": "ushort",
  "unsigned int": "uint",
  "unsigned long": "ulong",
  "long long": "qlonglong",
  "unsigned long long": "qulonglong",
  cstring: "const char*",
  "char*": "const char*",
  "QList<QString>": "QStringList",
  "QList<QByteArray>": "QByteArrayList",
  "QList<QVariant>": "QVariantList",
  "QMap<QString,QVariant>": "QVariantMap",
  "QHash<QString,QVariant>": "QVariantHash",
  "std::pair<QVariant,QVariant>": "QVariantPair",
  "QPair<QVariant,QVariant>": "QVariantPair",
};

type Template = (name: string, ...types: readonly Codec<unknown>[]) => Codec<unknown>;
const list: Template = (name, element) => listOf(name, element!);
const pair: Template = (name, first, second) => pairOf(name, first!, second!);

const TEMPLATES: Readonly<Record<string, { readonly arguments: number; readonly make: Template }>> = {
  QList: { arguments: 1, make: list },
  QVector: { arguments: 1, make: list },
  QLinkedList: { arguments: 1, make: list },
  QStack: { arguments: 1, make: list },
  QQueue: { arguments: 1, make: list },
  QSet: { arguments: 1, make: (name, element) => setOf(name, element!) },
  QMap: { arguments: 2, make: (name, key, value) => mapOf(name, key!, value!, "sorted") },
  QHash: { arguments: 2, make: (name, key, value) => mapOf(name, key!, value!, "any") },
  QMultiMap: { arguments: 2, make: (name, key, value) => multiMapOf(name, key!, value!, "sorted") },
  QMultiHash: { arguments: 2, make: (name, key, value) => multiMapOf(name, key!, value!, "any") },
  QPair: { arguments: 2, make: pair },
  "std::pair": { arguments: 2, make: pair },
};

/** Parts of the arguments of a template, between the commas that are not in another one. */
function split(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "<") depth++;
    else if (text[i] === ">") depth--;
    else if (text[i] === "," && depth === 0) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...parts, text.slice(start)];
}

function parse(text: string, depth: number): Codec<unknown> | undefined {
  const open = text.indexOf("<");
  if (open < 0) {
    const name = text.trim().replaceAll(/\s+/g, " ").replaceAll(/ ?\* ?/g, "*");
    return NAMED.get(Object.hasOwn(ALIASES, name) ? ALIASES[name]! : name);
  }
  const template = text.slice(0, open).trim();
  const trimmed = text.trimEnd();
  if (depth === 0 || !trimmed.endsWith(">") || !Object.hasOwn(TEMPLATES, template)) return undefined;
  const types = split(trimmed.slice(open + 1, -1)).map((part) => parse(part, depth - 1));
  const known = types.filter((type) => type !== undefined && type !== scalar.NULLPTR);
  const { arguments: wanted, make } = TEMPLATES[template]!;
  if (types.length !== wanted || known.length !== wanted) return undefined; // a list of nothing would be endless
  const name = `${template}<${known.map((type) => type!.name).join(",")}>`;
  return Object.hasOwn(ALIASES, name) ? NAMED.get(ALIASES[name]!) : make(name, ...known as Codec<unknown>[]);
}

const cache = new Map<string, Codec<unknown>>(NAMED);

/** The codec of a type by its name; `undefined` if there is no such type. */
export function codecOf(name: string): Codec<unknown> | undefined {
  const known = cache.get(name);
  if (known !== undefined) return known;
  if (name.length > LONGEST_NAME) return undefined;
  const codec = parse(name, MAX_TEMPLATES);
  if (codec !== undefined && cache.size < MAX_CACHED) cache.set(name, codec);
  return codec;
}
