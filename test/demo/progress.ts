/** A script that tells how far it is: once when it begins, and to the end for the line that it is sent. */

import { SharedValue } from "../../mod.ts";

using progress = SharedValue.open<{ done: number; of: number }>("MyProgress");
progress.set({ done: 1, of: 3 });
console.log("has done 1 of 3");
for await (const _ of process.stdin) {
  for (const done of [2, 3]) progress.set({ done, of: 3 });
}
