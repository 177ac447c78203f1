/**
 * A producer and a consumer of items in a ring, which may be ended in order, or killed, and started again at any time.
 *
 *   queue.ts produce COUNT     puts the items 0 to COUNT-1 in
 *   queue.ts consume COUNT     takes them out, and counts how often each was handled
 *
 * Words of the segment: how many were put in, how many taken out, the ring, and for each item how often it was handled. A
 * permit says that there is an item, or room for one; that it is so the two counts say. One that is killed between the
 * count and the permit has told too little, so whoever starts after a kill tells once more; a permit that turns out to be
 * one too many is consumed.
 *
 * Says `up`, and `done` when all is done. A line on stdin ends it in order, between two items.
 */

import { writeSync } from "node:fs";
import { exit, stdin } from "node:process";
import { SharedMemory, SystemSemaphore } from "../../../mod.ts";

const RING = 64;
const [role, count, after] = [process.argv[2], Number(process.argv[3]), process.argv[4]];

const memory = SharedMemory.attach("queue");
const items = SystemSemaphore.open("items", { initial: 0 });
const room = SystemSemaphore.open("room", { initial: RING });
const words = new Int32Array(memory.data.buffer, memory.data.byteOffset, 2 + RING + count);
const ring = words.subarray(2, 2 + RING);
const handled = words.subarray(2 + RING);
const [IN, OUT] = [0, 1];

const stop = new AbortController();
stdin.once("data", () => stop.abort());
stdin.once("end", () => stop.abort());

const [mine, theirs] = role === "produce" ? [room, items] : [items, room];
if (after === "killed") theirs.release();

/** Puts one in, or takes one out; false: there was no room, or none. */
function step(): boolean {
  const [put, taken] = [Atomics.load(words, IN), Atomics.load(words, OUT)];
  if (role === "produce") {
    if (put - taken === RING) return false;
    ring[put % RING] = put;
    Atomics.store(words, IN, put + 1);
  } else {
    if (put === taken) return false;
    Atomics.add(handled, ring[taken % RING]!, 1);
    Atomics.store(words, OUT, taken + 1);
  }
  return true;
}

writeSync(1, "up\n");
try {
  while (Atomics.load(words, role === "produce" ? IN : OUT) < count) {
    // A turn of the event loop, so that the end is heard of.
    await new Promise((resolve) => setImmediate(resolve));
    const permit = await mine.acquire({ signal: stop.signal });
    const done = step();
    permit.forget();
    if (done) theirs.release();
  }
  writeSync(1, "done\n");
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
exit(0); // a pending read of stdin would keep it
