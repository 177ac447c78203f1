/** A status command: shows what is there, and follows it to its end. */

import { SharedValue } from "../../mod.ts";

using progress = SharedValue.tryAttach<{ done: number; of: number }>("MyProgress")!;
for await (const { done, of } of progress.changes({ initial: true })) {
  if (done === 1 || done === of) console.log(`sees ${done} of ${of}`);
  if (done === of) break;
}
for await (const _ of process.stdin) { /* until its input ends */ }
