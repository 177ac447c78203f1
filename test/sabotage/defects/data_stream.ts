/** Of QDataStream. */

import { type Defect, inNode, type Test } from "../defect.ts";

const inData = (name: string): Test => ({ file: "test/data_stream/vectors.test.ts", name: `vectors of Qt in node > ${name}` });

export const DATA_STREAM: readonly Defect[] = [
  {
    name: "qstring-null-is-empty",
    what: "a null QString reads as an empty one",
    file: "src/data_stream/text.ts",
    find: `    if (size === 0) return "";
    if (size === -1) return null;`,
    replace: `    if (size === 0 || size === -1) return "";`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "qbitarray-width-of-qt-5",
    what: "Qt 6 programs read a QBitArray's size from half of its bytes",
    file: "src/data_stream/bit_array.ts",
    find: `if (cursor.version < QT_6_0) cursor.writeUint32(value.size);
    else cursor.writeInt64(BigInt(value.size));`,
    replace: `cursor.writeUint32(value.size);`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "qdatetime-5-0-in-its-own-time",
    what: "a QDateTime in Qt 5.0's format is off by the offset of its zone",
    file: "src/data_stream/moment.ts",
    find: `? partsOf(utcOf(value))`,
    replace: `? value`,
    test: inData("bytes, values, and statuses are Qt's"),
  },
  {
    name: "data-stream-believes-a-count",
    what: "a count of four billion takes the memory of the process",
    file: "src/data_stream/text.ts",
    find: `    const start = size < 0 ? -1 : cursor.take(size);`,
    replace: `    if (size > 0) new Uint8Array(size);
    const start = size < 0 ? -1 : cursor.take(size);`,
    test: inNode("data stream", "a count allocates nothing: what is not there is not made room for"),
  },
  {
    name: "data-stream-depth",
    what: "hostile bytes overflow the stack",
    file: "src/data_stream/cursor.ts",
    find: `    if (this.depth >= MAX_DEPTH) {`,
    replace: `    if (this.depth >= 1e9) {`,
    test: inNode("data stream", "values in values: 512 deep and no deeper, whoever wrote them"),
  },
  {
    name: "transaction-reads-on",
    what: "a transaction takes what follows missing bytes for what it waits for",
    file: "src/data_stream/cursor.ts",
    find: `this.writes || (status !== STATUS.Ok && this.transactions > 0);`,
    replace: `this.writes;`,
    test: inNode("data stream", "a transaction goes back when bytes are missing, and reads nothing after that"),
  },
  {
    name: "failed-write-leaves-half",
    what: "a write that throws leaves half of its value in the stream",
    file: "src/data_stream/stream.ts",
    find: `      this.#cursor.position = position;
`,
    replace: ``,
    test: inNode("data stream", "a value that its type cannot hold throws, says so, and writes nothing"),
  },
];
