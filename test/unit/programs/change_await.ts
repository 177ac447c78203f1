/** Does nothing but `await waitForChange()`: the process waits, and goes on when another one changes something. */

import { SharedMemory } from "../../../mod.ts";

const memory = SharedMemory.create("memory", 1);
console.log("waiting");
console.log(`revision ${await memory.waitForChange(0)}`);
