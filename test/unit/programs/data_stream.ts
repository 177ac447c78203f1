/** Writes and reads with a QDataStream, and says so. Nothing else of the project is loaded. */

import { QDataStream } from "../../../src/data_stream/mod.ts";

const out = new QDataStream().writeQString("text").write("QMap<QString,QVariant>", new Map([["n", 5]]));
const stream = new QDataStream(out.bytes());
const text = stream.readQString();
const map = stream.readQVariantMap();
console.log(`${text} ${map.get("n")?.type} ${map.get("n")?.value} ${stream.status()} ${stream.atEnd()}`);
