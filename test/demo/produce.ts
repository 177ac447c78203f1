/** Makes 100 items, once somebody waits for them. */

import { SystemSemaphore } from "../../mod.ts";

using items = SystemSemaphore.open("MyItems", { initial: 0 });
console.log("is ready");
for await (const _ of process.stdin) {
  for (let i = 0; i < 100; i++) items.release();
}
