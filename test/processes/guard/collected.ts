/** Acquires guards in a function, drops the variables, and collects garbage until the objects are gone. */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { SingleInstance } from "../../../mod.ts";

interface Collectors {
  readonly Bun?: { gc(force: boolean): void };
  readonly gc?: () => void;
}

const { Bun, gc } = globalThis as Collectors;
const collect = Bun === undefined ? gc! : () => Bun.gc(true);
/** Several: a conservative collector may take a stray word on the stack for one of them, not for all. */
const COUNT = 20;

async function hold(i: number): Promise<WeakRef<SingleInstance>> {
  // Some as a wait gives them, some at once.
  const guard = i % 2 === 0
    ? SingleInstance.tryAcquire(`collected-${i}`, { data: i })!
    : await SingleInstance.acquire(`collected-${i}`, { data: i, timeout: Infinity });
  return new WeakRef(guard);
}

const guards: WeakRef<SingleInstance>[] = [];
for (let i = 0; i < COUNT; i++) guards.push(await hold(i));
let gone = 0;
for (let round = 0; round < 200 && gone < COUNT - 3; round++) {
  await new Promise((resolve) => setTimeout(resolve, 0));
  collect();
  gone = guards.filter((guard) => guard.deref() === undefined).length;
}
writeSync(1, `collected ${gone} of ${COUNT}\n`);
createInterface({ input: process.stdin }).on("line", () => process.exit(0));
