/** Step 1, in Bun: creates the segment, writes, and stays until its input ends. */

import { SharedMemory } from "../../mod.ts";

using memory = SharedMemory.create("MySharedMemory", 1024);
memory.write(new TextEncoder().encode("Hello from Bun"));
console.log(`created ${memory.size} bytes and wrote "Hello from Bun"`);
for await (const _ of process.stdin) { /* others work meanwhile */ }
