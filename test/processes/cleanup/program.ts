/**
 * A program with a clean-up function, that ends in the way its first argument says. The second may be `listens`: it has a
 * listener of its own for the signal, which ends the program in order; or `throws`: the function throws.
 */

import { readSync, writeSync } from "node:fs";
import { QSharedMemory } from "../../../src/qt/mod.ts";
import { end, type Way } from "../exit/ways.ts";

const [way, also] = process.argv.slice(2) as [Way, string | undefined];

const memory = new QSharedMemory("cleanup");
if (!memory.create(1)) throw new Error(memory.errorString());
const other = new QSharedMemory("other");
other.setCleanupFunction(() => writeSync(1, "never: it was replaced\n"));
other.setCleanupFunction(undefined);
memory.setCleanupFunction(() => writeSync(1, "never: it was replaced\n"));
memory.setCleanupFunction(() => {
  writeSync(1, `cleaned up, attached: ${memory.isAttached()}, removed: ${QSharedMemory.remove("cleanup")}\n`);
  if (also === "throws") throw new Error("from the clean-up");
});
if (also === "listens") {
  process.on(way, () => {
    writeSync(1, "heard\n");
    process.exit(3);
  });
}

await (async (): Promise<void> => {
  writeSync(1, "ready\n");
  if (!way.startsWith("SIG")) readSync(0, new Uint8Array(1), 0, 1, null);
})();
end(way);
