/** Qt's idiom: the first one runs, the others see that it does. */

import { SharedMemory } from "../../mod.ts";

const first = SharedMemory.tryCreate("MySingleInstance", 1);
if (first === undefined) {
  console.log("another instance runs");
} else {
  console.log("runs");
  for await (const _ of process.stdin) { /* the program's work */ }
  first.detach();
}
