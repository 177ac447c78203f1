/** Reads the QString, also after a crash of the writer; then it is the last one out. */

import { QSharedMemory } from "../../src/qt/mod.ts";

const memory = new QSharedMemory("demo");
if (!memory.attach()) throw new Error(memory.errorString());
const text = memory.readStream((stream) => stream.readQString());
memory.detach();
console.log(`read "${text}"; a crash had left it: ${memory.recovered()}`);
