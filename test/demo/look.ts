/** Step 3, in Node: sees what Deno wrote. */

import { SharedMemory } from "../../mod.ts";

using memory = SharedMemory.attach("MySharedMemory", { readOnly: true });
console.log(`sees "${new TextDecoder().decode(memory.read()).replace(/\0+$/, "")}"`);
