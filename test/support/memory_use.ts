/** How much memory a process uses, for use in a peer. */

import { getBuiltinModule, memoryUsage } from "node:process";

interface Collecting {
  gc?: () => void;
  Bun?: { gc(now: boolean): void };
}

function collect(): void {
  const { Bun } = globalThis as Collecting;
  if (Bun !== undefined) return Bun.gc(true);
  getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
  const collect = getBuiltinModule("node:vm").runInNewContext("gc") as () => void;
  collect();
}

/** Bytes that are still in use when all garbage is gone: of the heap, of buffers, and of the process at large. */
export async function memoryInUse(): Promise<{ heap: number; process: number }> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve)); // what is collected may let go of more
  }
  const { heapUsed, external, rss } = memoryUsage();
  return { heap: heapUsed + external, process: rss };
}
