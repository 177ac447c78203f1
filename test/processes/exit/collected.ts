/** Attaches and locks in a function, drops the variables, and collects garbage until the object is gone. */

import { writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { SharedMemory } from "../../../mod.ts";

interface Collectors {
  readonly Bun?: { gc(force: boolean): void };
  readonly gc?: () => void;
}

const { Bun, gc } = globalThis as Collectors;
const collect = Bun === undefined ? gc! : () => Bun.gc(true);

function hold(): WeakRef<SharedMemory> {
  const memory = SharedMemory.create("collected", 64);
  memory.lockSync();
  memory.data[0] = 42;
  return new WeakRef(memory);
}

// Several: a conservative collector may take a stray word on the stack for one of them, not for all.
const decoys = Array.from({ length: 20 }, (_, i) => new WeakRef(SharedMemory.create(`decoy-${i}`, 1)));
const held = hold();
let gone = 0;
for (let round = 0; round < 200 && gone < decoys.length - 3; round++) {
  await new Promise((resolve) => setTimeout(resolve, 0));
  collect();
  gone = decoys.filter((decoy) => decoy.deref() === undefined).length + (held.deref() === undefined ? 1 : 0);
}
writeSync(1, `collected ${gone} of ${decoys.length + 1}, the locked one ${held.deref() === undefined}\n`);
createInterface({ input: process.stdin }).on("line", () => process.exit(0));
