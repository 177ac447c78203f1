/** Deals with items until it is killed, or has dealt with as many as it was told. */

import { SystemSemaphore } from "../../mod.ts";

const [count, dies] = process.argv.slice(2).map(Number);
using items = SystemSemaphore.open("MyItems", { initial: 0 });
console.log("waits");
for (let i = 0; i < count!; i++) (await items.acquire()).forget();
const unfinished = dies === 1 ? await items.acquire() : undefined;
console.log(`dealt with ${count}${unfinished === undefined ? "" : " and began one more"}, ${items.available} are left`);
for await (const _ of process.stdin) { /* until its input ends */ }
