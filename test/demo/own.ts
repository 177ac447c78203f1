/** Holds the lock until it is killed. */

import { SharedMemory } from "../../mod.ts";

const memory = SharedMemory.open("MyLock", 16);
await memory.lock();
console.log("holds the lock");
for await (const _ of process.stdin) { /* until it is killed */ }
