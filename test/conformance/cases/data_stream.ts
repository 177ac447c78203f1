/** QDataStream: status, transactions, limits, and what it says to misuse. Its bytes are compared in test/data_stream/. */

import assert from "node:assert/strict";
import { QBitArray, QDataStream, QDate, QDateTime, QTime, QVariant } from "../../../src/data_stream/mod.ts";
import type { Suite } from "../case.ts";

const { Ok, ReadPastEnd, ReadCorruptData, WriteFailed, SizeLimitExceeded } = QDataStream;

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (stream: QDataStream): string => Array.from(stream.bytes(), (byte) => byte.toString(16).padStart(2, "0")).join("");
const over = (text: string, version: number = QDataStream.Qt_6_4): QDataStream => new QDataStream(bytes(text)).setVersion(version);

/** A QVariantList in a QVariant in a QVariantList and so on. */
function nested(lists: number): QVariant {
  let variant = QVariant.of(null);
  for (let i = 0; i < lists; i++) variant = new QVariant("QVariantList", [variant]);
  return variant;
}

function nestedBytes(lists: number): Uint8Array {
  const level = bytes("00000009 00 00000001");
  const all = new Uint8Array(lists * level.length + 5);
  for (let i = 0; i < lists; i++) all.set(level, i * level.length);
  all[all.length - 1] = 1;
  return all;
}

const state = (stream: QDataStream): string => `${stream.status()} at ${stream.pos()}`;

export const dataStream: Suite = {
  name: "data stream",
  cases: [
    {
      name: "versions, orders, precisions and statuses have Qt's numbers",
      run() {
        const numbers = QDataStream as unknown as Record<string, number>;
        const wanted: Record<string, number> = { Qt_4_6: 12, Qt_4_9: 12, Qt_5_0: 13, Qt_5_1: 14, Qt_5_2: 15, Qt_5_3: 15, Qt_5_4: 16, Qt_5_5: 16 };
        Object.assign(wanted, { Qt_5_6: 17, Qt_5_11: 17, Qt_5_12: 18, Qt_5_13: 19, Qt_5_14: 19, Qt_5_15: 19, Qt_6_0: 20, Qt_6_5: 20, Qt_6_6: 21 });
        Object.assign(wanted, { Qt_6_7: 22, Qt_6_9: 22, Qt_DefaultCompiledVersion: 22, BigEndian: 0, LittleEndian: 1, SinglePrecision: 0 });
        Object.assign(wanted, { DoublePrecision: 1, Ok: 0, ReadPastEnd: 1, ReadCorruptData: 2, WriteFailed: 3, SizeLimitExceeded: 4 });
        for (const [name, number] of Object.entries(wanted)) assert.equal(numbers[name], number, name);
        const stream = new QDataStream();
        assert.deepEqual([stream.version(), stream.byteOrder(), stream.floatingPointPrecision(), stream.status()], [22, 0, 1, 0]);
      },
    },
    {
      name: "setVersion() and the like throw for what is not Qt's",
      run() {
        const stream = new QDataStream();
        for (const version of [11, 23, 12.5, NaN, "19" as unknown as number]) assert.throws(() => stream.setVersion(version), RangeError);
        assert.throws(() => stream.setByteOrder(2 as 1), RangeError);
        assert.throws(() => stream.setFloatingPointPrecision(-1 as 1), RangeError);
        assert.throws(() => stream.setStatus(5 as 1), RangeError);
        assert.throws(() => new QDataStream([1] as unknown as Uint8Array), { name: "TypeError", message: /must be a Uint8Array: got an array/ });
      },
    },
    {
      name: "the first error stays until resetStatus(); reading goes on, writing does not",
      run() {
        const stream = over("00000001 00000002").setStatus(ReadPastEnd);
        assert.equal(stream.readQint32(), 1);
        assert.equal(state(stream.setStatus(ReadCorruptData)), "1 at 4");
        assert.equal(state(stream.setStatus(Ok)), "1 at 4");
        assert.equal(stream.resetStatus().status(), Ok);
        const out = new QDataStream().setStatus(ReadPastEnd).writeQint32(5).writeQString("a").write("QList<int>", [1]).writeQVariant(5);
        assert.equal(hex(out), "");
        assert.equal(hex(out.resetStatus().writeQint8(5)), "05");
      },
    },
    {
      name: "a list is read even after an error, which stays",
      run() {
        const stream = over("00000001 00000002 00000001 00000003").setStatus(ReadCorruptData);
        assert.deepEqual(stream.read("QList<int>"), [2]);
        assert.equal(state(stream), "2 at 8");
      },
    },
    {
      name: "writing to a stream that reads is WriteFailed, reading from one that writes ReadPastEnd",
      run() {
        const stream = over("00000001").writeQint32(5);
        assert.equal(state(stream), `${WriteFailed} at 0`);
        assert.equal(stream.readQint32(), 1);
        const out = new QDataStream().writeQint32(5);
        assert.equal(out.readQint32(), 0);
        assert.equal(state(out), `${ReadPastEnd} at 4`);
        assert.equal(out.atEnd(), true);
      },
    },
    {
      name: "a transaction goes back when bytes are missing, and reads nothing after that",
      run() {
        const stream = over("00000001 00000002").startTransaction();
        assert.deepEqual([stream.readQint32(), stream.readQint32(), stream.readQint32()], [1, 2, 0]);
        assert.equal(stream.commitTransaction(), false);
        assert.equal(state(stream), "1 at 0");
        stream.startTransaction();
        assert.equal(state(stream), "0 at 0");
        stream.setStatus(ReadPastEnd);
        assert.deepEqual([stream.readQint32(), stream.read("QList<int>"), stream.skipRawData(2)], [0, [], 0]);
        assert.equal(state(stream), "1 at 0");
        stream.commitTransaction();
        assert.equal(stream.readQint32(), 1);
      },
    },
    {
      name: "a transaction in another: the outermost decides",
      run() {
        const stream = over("00000001 00000002").startTransaction().startTransaction();
        assert.equal(stream.readQint32(), 1);
        assert.equal(stream.commitTransaction(), true);
        assert.equal(state(stream.rollbackTransaction()), "1 at 0");
        stream.startTransaction().startTransaction().readQint32();
        assert.equal(state(stream.rollbackTransaction()), "1 at 4");
        assert.equal(stream.readQint32(), 0);
        assert.equal(stream.commitTransaction(), false);
        assert.equal(state(stream), "1 at 0");
      },
    },
    {
      name: "what is corrupt is not read again: neither commit, rollback nor abort goes back",
      run() {
        const stream = over("00000001 00000002").startTransaction();
        stream.readQint32();
        assert.equal(state(stream.abortTransaction()), "2 at 4");
        assert.equal(stream.readQint32(), 2);
        const other = over("00000001").startTransaction();
        other.readQint32();
        assert.equal(other.setStatus(ReadCorruptData).commitTransaction(), false);
        assert.equal(state(other), "2 at 4");
        const inner = over("00000001").startTransaction().startTransaction();
        inner.readQint32();
        assert.equal(state(inner.abortTransaction().rollbackTransaction()), "2 at 4");
      },
    },
    {
      name: "without a transaction: commit is false, rollback and abort set their status",
      run() {
        const stream = over("00000001");
        assert.equal(stream.commitTransaction(), false);
        assert.equal(state(stream), "0 at 0");
        assert.equal(state(stream.rollbackTransaction()), "1 at 0");
        assert.equal(state(stream.resetStatus().abortTransaction()), "2 at 0");
      },
    },
    {
      name: "raw data: as much as there is; counted bytes: all or nothing",
      run() {
        const stream = over("010203 00000002 0405 00000009 06");
        assert.equal(stream.skipRawData(1), 1);
        assert.deepEqual([...stream.readRawData(2)], [2, 3]);
        assert.deepEqual([...stream.readBytes()], [4, 5]);
        assert.equal(stream.status(), Ok);
        assert.equal(stream.readBytes().length, 0);
        assert.equal(state(stream), `${ReadPastEnd} at 14`);
        assert.deepEqual([...over("0102").readRawData(5)], [1, 2]);
        assert.equal(hex(new QDataStream().writeRawData(bytes("abcd")).writeBytes(bytes("ef")).writeCString("a").writeCString(null)), "abcd00000001ef000000026100" + "00000000");
        for (const length of [-1, 0.5, NaN]) assert.throws(() => stream.skipRawData(length), RangeError);
      },
    },
    {
      name: "a count allocates nothing: what is not there is not made room for",
      run() {
        for (const type of ["QString", "QByteArray", "QList<bool>", "QMap<int,int>", "QSet<QString>", "QBitArray", "QVariantList", "const char*"]) {
          for (const version of [QDataStream.Qt_5_15, QDataStream.Qt_6_5, QDataStream.Qt_6_7]) {
            for (const count of ["fffffffe", "7ffffffe", "fffffffe 7ffffffffffffffe", "fffffffe 000fffffffffffff"]) {
              const stream = over(`${count} 00000000`, version);
              stream.read(type);
              assert.notEqual(stream.status(), Ok, `${type} ${count} ${version}`);
              assert.ok(stream.atEnd() || stream.status() !== ReadPastEnd, `${type} ${count} ${version}`);
            }
          }
        }
      },
    },
    {
      name: "since Qt 6.7 a size of 0xfffffffe and more has 64 bits, and one that is none is SizeLimitExceeded",
      run() {
        const { Qt_6_7, Qt_6_6 } = QDataStream;
        assert.equal(over("fffffffe 0000000000000002 0061", Qt_6_7).readQString(), "a");
        for (const type of ["QString", "QByteArray", "QList<int>"]) {
          const stream = over("fffffffe fffffffffffffffe", Qt_6_7);
          stream.read(type);
          assert.equal(state(stream), `${SizeLimitExceeded} at 12`, type);
        }
        for (const [version, status] of [[Qt_6_7, SizeLimitExceeded], [Qt_6_6, ReadPastEnd]] as const) {
          const stream = over("ffffffff", version);
          assert.deepEqual(stream.read("QStringList"), []);
          assert.equal(stream.status(), status);
        }
      },
    },
    {
      name: "JSON that is none is corrupt, as are values that are neither array nor object",
      run() {
        const read = (text: string): [unknown, number] => {
          const stream = new QDataStream(new QDataStream().writeQByteArray(new TextEncoder().encode(text)).bytes());
          return [stream.readQJsonDocument(), stream.status()];
        };
        for (const text of ["{", "1", "null", "[1e999]", "[1]x", '["\\x"]']) assert.deepEqual(read(text), [null, ReadCorruptData], text);
        for (const [text, value] of [["", null], ["{}", {}], ["[1e21]", [1e21]]] as const) assert.deepEqual(read(text), [value, Ok], text);
        const invalid = over("00000005 5b22ff225d"); // not UTF-8
        assert.equal(invalid.readQJsonDocument(), null);
        assert.equal(invalid.status(), ReadCorruptData);
      },
    },
    {
      name: "a QBitArray with bits after its last is corrupt",
      run() {
        const stream = over("0000000000000003 ff");
        assert.equal(stream.readQBitArray().size, 0);
        assert.equal(state(stream), `${ReadCorruptData} at 9`);
        assert.equal(over("0000000000000008 ff").readQBitArray().toString(), "11111111");
        const huge = over("8000000000000000 ff");
        huge.readQBitArray();
        assert.equal(huge.status(), SizeLimitExceeded);
      },
    },
    {
      name: "null and empty are told apart; QChar, QUuid and const char* hold what C++ does",
      run() {
        assert.equal(hex(new QDataStream().writeQString(null).writeQString("").writeQByteArray(null).writeQByteArray(bytes(""))), "ffffffff00000000ffffffff00000000");
        const stream = over("ffffffff 00000000 ffffffff 00000000");
        assert.deepEqual([stream.readQString(), stream.readQString(), stream.readQByteArray(), stream.readQByteArray()], [null, "", null, bytes("")]);
        assert.equal(over("00000004 6162 00ff").readCString(), "ab");
        assert.equal(over("d83d").readQChar(), "\ud83d");
        const uuid = "67C8770B-44F1-410A-AB9A-F9B5446F13EE";
        assert.equal(new QDataStream(new QDataStream().writeQUuid(uuid).bytes()).readQUuid(), `{${uuid.toLowerCase()}}`);
      },
    },
    {
      name: "long strings pass unharmed, with lone surrogates, NUL, and marks of byte order",
      run() {
        for (const text of ["x".repeat(5000), "\ufeff" + "é\ud83d\ude00".repeat(3000), "a".repeat(600) + "\ud83d", "\ufffe\0" + "日本".repeat(4096) + "\udc00x"]) {
          for (const order of [QDataStream.BigEndian, QDataStream.LittleEndian]) {
            const written = new QDataStream().setByteOrder(order).writeQString(text).bytes();
            assert.ok(new QDataStream(written).setByteOrder(order).readQString() === text);
          }
        }
      },
    },
    {
      name: "a QVariant of what nobody knows: no number is invalid and no error, no name is corrupt",
      run() {
        const unknown = over("0000ffff 00 00000001");
        assert.equal(unknown.readQVariant().isValid, false);
        assert.equal(state(unknown), "0 at 5");
        const named = over("00010000 00 00000005 6e6f706500");
        assert.equal(named.readQVariant().isValid, false);
        assert.equal(state(named), "2 at 14");
        for (const [type, number] of [["void*", "0000001f"], ["QObject*", "00000027"], ["QModelIndex", "0000002a"], ["QCborMap", "00000037"], ["QEasingCurve", "0000001d"]]) {
          const stream = over(`${number} 00`);
          assert.equal(stream.readQVariant().type, type);
          assert.equal(state(stream), "2 at 5");
          assert.throws(() => new QDataStream().writeQVariant({ type, value: null }), TypeError);
        }
      },
    },
    {
      name: "a QVariant tells a user's type by its name",
      run() {
        const stream = over("00010000 00 0000000b 514c6973743c696e743e00 00000001 00000007");
        assert.deepEqual(stream.readQVariant(), new QVariant("QList<int>", [7]));
        for (const [version, number] of [[QDataStream.Qt_4_6, "0000007f"], [QDataStream.Qt_4_6, "00000400"], [QDataStream.Qt_5_0, "00010000"]] as const) {
          assert.equal(over(`${number} 00 00000004 696e7400 00000007`, version).readQVariant().value, 7);
        }
        assert.equal(hex(new QDataStream().writeQVariant({ type: "QList<qint32>", value: [7] })), "00010000000000000b514c6973743c696e743e000000000100000007");
        const asQt5 = new QDataStream().setVersion(QDataStream.Qt_5_15).writeQVariant({ type: "QVector<qint32>", value: [7] });
        assert.equal(hex(asQt5), "00000400000000000d51566563746f723c696e743e00" + "0000000100000007");
      },
    },
    {
      name: "a QVariant is made of plain values, and becomes one again",
      run() {
        const plain = { flag: true, count: 5, ratio: 0.5, big: 2 ** 40, name: "x", none: null, list: [1, "two", [3]], map: { a: 1 } };
        const stream = new QDataStream(new QDataStream().writeQVariant(plain).bytes());
        const variant = stream.readQVariant();
        assert.equal(variant.type, "QVariantMap");
        assert.deepEqual(variant.toPlain(), plain);
        const types = [[1, "int"], [1.5, "double"], [-0, "double"], [2 ** 31, "double"], [5n, "qlonglong"], [2n ** 63n, "qulonglong"], [true, "bool"], ["", "QString"]] as const;
        for (const [value, type] of types) assert.equal(QVariant.of(value).type, type);
        const others = [[bytes("00"), "QByteArray"], [new Date(0), "QDateTime"], [QDate.of(1, 1, 1), "QDate"], [QTime.of(1, 1), "QTime"], [QBitArray.from("1"), "QBitArray"], [new Map(), "QVariantMap"], [[], "QVariantList"], [undefined, ""]] as const;
        for (const [value, type] of others) assert.equal(QVariant.of(value).type, type);
        for (const value of [Symbol("x"), () => 0, new WeakMap(), /x/]) assert.throws(() => QVariant.of(value), TypeError);
        assert.throws(() => new QDataStream().writeQVariant({ type: "QNope", value: 1 }), { name: "TypeError", message: /no type string "QNope"/ });
      },
    },
    {
      name: "values in values: 512 deep and no deeper, whoever wrote them",
      run() {
        const deep = new QDataStream().writeQVariant(nested(255));
        const stream = new QDataStream(deep.bytes());
        stream.readQVariant();
        assert.equal(stream.status(), Ok);
        for (const lists of [257, 100_000]) {
          const hostile = new QDataStream(nestedBytes(lists));
          hostile.readQVariant();
          assert.equal(hostile.status(), ReadCorruptData);
          assert.ok(hostile.pos() < 257 * 9);
        }
        assert.throws(() => new QDataStream().writeQVariant(nested(257)), RangeError);
        const cycle: unknown[] = [];
        cycle.push(cycle);
        const out = new QDataStream().writeQint8(1);
        assert.throws(() => out.writeQVariant(cycle), { name: "RangeError", message: /hold themselves/ });
        assert.equal(hex(out.writeQint8(2)), "0102");
      },
    },
    {
      name: "the deepest that is allowed fits into the stack, of every type",
      run() {
        const name = `${"QList<".repeat(15)}QVariant${">".repeat(15)}`;
        const level = new QDataStream().writeQVariant({ type: name, value: [] }).bytes().subarray(0, -4);
        const counts = bytes("00000001".repeat(15));
        const all = new Uint8Array((level.length + counts.length) * 1000);
        for (let i = 0; i < 1000; i++) {
          all.set(level, i * (level.length + counts.length));
          all.set(counts, i * (level.length + counts.length) + level.length);
        }
        const stream = new QDataStream(all);
        stream.readQVariant();
        assert.equal(stream.status(), ReadCorruptData);
        const json = new TextEncoder().encode("[".repeat(100_000) + "]".repeat(100_000));
        const document = new QDataStream(new QDataStream().writeQByteArray(json).bytes());
        assert.equal(document.readQJsonDocument(), null);
        assert.equal(document.status(), ReadCorruptData);
      },
    },
    {
      name: "type names: blanks do not count, other names of a type are known, unknown ones throw",
      run() {
        const stream = over("00000001 00000002 0061 00000005");
        assert.deepEqual(stream.read(" QMap < QString , unsigned  int > "), new Map([["a", 5]]));
        for (const name of ["", "QNope", "QList", "QList<>", "QList<int", "QList<int>>", "QMap<int>", "QList<int,int>", "QList<std::nullptr_t>", "constructor", "__proto__", `${"QList<".repeat(20)}int${">".repeat(20)}`]) {
          assert.throws(() => stream.read(name), { name: "TypeError", message: /There is no type/ }, name);
        }
        assert.throws(() => stream.write(5 as unknown as string, 5), TypeError);
      },
    },
    {
      name: "a value that its type cannot hold throws, says so, and writes nothing",
      run() {
        const out = new QDataStream().writeQint8(1);
        const numbers: [string, unknown][] = [["qint8", 128], ["quint8", -1], ["qint16", 32768], ["quint16", 65536], ["qint32", 2 ** 31], ["quint32", -1], ["qint64", 2n ** 63n], ["quint64", -1n], ["qint32", 0.5], ["qint32", NaN]];
        for (const [type, value] of numbers) assert.throws(() => out.write(type, value), { name: "RangeError", message: /whole number from/ }, type);
        const values: [string, unknown][] = [
          ["qint32", "5"], ["qint64", 5], ["bool", 1], ["double", "1"], ["float", null], ["QString", 5], ["QString", undefined], ["QByteArray", [1]], ["QChar", "ab"],
          ["const char*", "a\0b"], ["QStringList", "a"], ["QStringList", ["a", 5]], ["QMap<QString,int>", { a: 1 }], ["QMap<QString,int>", new Map([["a", "b"]])],
          ["QMultiMap<QString,int>", [["a"]]], ["QPair<int,int>", [1]], ["QSet<int>", 5], ["QUuid", "nope"], ["QDate", "2024-01-01"], ["QTime", 5], ["QDateTime", new Date()],
          ["QBitArray", "101"], ["QPoint", { x: 1 }], ["QRect", { x: 1, y: 1, width: 1.5, height: 1 }], ["QUrl", null], ["QLocale", null], ["QJsonDocument", 5], ["QJsonArray", {}],
          ["QJsonObject", []], ["QJsonDocument", [() => 0]], ["QRegularExpression", "x"], ["QVariantMap", new Map([["k", Symbol("x")]])],
        ];
        for (const [type, value] of values) assert.throws(() => out.write(type, value), TypeError, `${type} ${String(value)}`);
        assert.equal(hex(out.writeQint8(2)), "0102");
      },
    },
    {
      name: "maps are written in the order of their keys, multi maps keep that of equal ones",
      run() {
        const write = (type: string, value: unknown): string => hex(new QDataStream().write(type, value));
        assert.equal(write("QMap<qint8,bool>", new Map([[5, true], [-1, false]])), "00000002ff000501");
        const collapsed = over("00000003 ffffffff 00000001 00000000 00000002 000000020061 00000003").read("QMap<QString,int>");
        assert.deepEqual(collapsed, new Map([[null, 2], ["a", 3]]));
        assert.equal(write("QHash<qint8,bool>", new Map([[5, true], [-1, false]])), "000000020501ff00");
        assert.equal(write("QMultiMap<qint8,qint8>", [[5, 1], [-1, 2], [5, 0]]), "00000003ff0205010500");
        const keys = [bytes("0001"), bytes(""), bytes("00")];
        assert.equal(write("QMap<QByteArray,bool>", new Map(keys.map((key) => [key, true]))), "000000030000000001" + "000000010001" + "00000002000101");
      },
    },
    {
      name: "dates are those of the Gregorian calendar for all time, without a year 0",
      run() {
        assert.equal(QDate.of(-1, 12, 31).julianDay + 1, QDate.of(1, 1, 1).julianDay);
        const first = QDate.of(-5000, 1, 1).julianDay;
        for (let day = first, before = QDate.of(-5001, 12, 31); day < first + 2_700_000; day += 397) {
          const date = new QDate(day);
          assert.equal(QDate.of(date.year, date.month, date.day).julianDay, day);
          assert.ok(date.year > before.year || (date.year === before.year && date.month >= before.month));
          before = date;
        }
        for (const text of ["2023-02-29", "1900-02-29", "0000-01-01", "2024-13-01", "2024-1-1", "x"]) assert.throws(() => QDate.parse(text), RangeError, text);
        for (const day of [784_354_017_364, -784_350_574_879]) assert.equal(new QDataStream(new QDataStream().writeQDate(new QDate(day)).bytes()).readQDate()?.julianDay, day);
        assert.throws(() => new QDate(784_354_017_365), RangeError);
        assert.throws(() => QTime.of(24, 0), RangeError);
      },
    },
    {
      name: "a QDateTime that has no valid time begins its day; one that has no date is null",
      run() {
        assert.equal(over("0000000000258ad2 05265c00 01").readQDateTime()?.toString(), "2024-02-29T00:00:00.000 UTC");
        assert.equal(over("8000000000000000 02b32c95 01").readQDateTime(), null);
        assert.equal(over("0000000000258ad2 02b32c95 02 00004d58").readQDateTime()?.toDate().toISOString(), "2024-02-29T07:04:56.789Z");
        assert.equal(QDateTime.atOffset(QDate.of(2024, 1, 1), QTime.of(0, 0), 0).spec, "UTC");
        assert.throws(() => QDateTime.inZone(QDate.of(2024, 1, 1), QTime.of(0, 0), "Nowhere/At_All").toDate(), RangeError);
      },
    },
    {
      name: "bytes() is a copy; a stream that reads follows the bytes it was given",
      run() {
        const out = new QDataStream().writeQint8(1);
        const first = out.bytes();
        first[0] = 9;
        assert.equal(hex(out.writeQint8(2)), "0102");
        const source = bytes("0102");
        const array = new QDataStream(bytes("00000001 07")).readQByteArray()!;
        assert.deepEqual([...array], [7]);
        assert.equal(new QDataStream(source.subarray(1)).readQint8(), 2);
      },
    },
  ],
};
