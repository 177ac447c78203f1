/** Writes a QString to shared memory of Qt's, where a C++ program would find it, and stays. */

import { QSharedMemory } from "../../src/qt/mod.ts";

const memory = new QSharedMemory("demo");
if (!memory.create(1024)) throw new Error(memory.errorString());
memory.writeStream((stream) => stream.writeQString("Hello from Bun"));
console.log('wrote the QString "Hello from Bun"');
process.stdin.on("data", () => {});
