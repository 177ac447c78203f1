/** Step 2, in Deno: attaches, locks, reads, and writes back. */

import { SharedMemory } from "../../mod.ts";

using memory = SharedMemory.attach("MySharedMemory");
using _lock = await memory.lock();
const text = new TextDecoder().decode(memory.read()).replace(/\0+$/, "");
memory.write(new TextEncoder().encode("Hello back from Deno"));
console.log(`locked, read "${text}", wrote "Hello back from Deno"`);
