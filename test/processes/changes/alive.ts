/**
 * A program that does nothing but wait, in the way its argument says; of itself it stays only as long as a wait keeps it.
 * Says `waiting`, and `woken` when there was something.
 */

import { writeSync } from "node:fs";
import { SharedMemory, SharedValue, SystemSemaphore } from "../../../mod.ts";

const memory = SharedMemory.attach("alive");
const value = SharedValue.open<number>("alive");
const semaphore = SystemSemaphore.open("alive");
const way = process.argv[2];
const signal = AbortSignal.abort();

/** All kinds of waits. */
const waits = {
  "waitForChange()": (o: { ref?: boolean; signal?: AbortSignal }) => memory.waitForChange(memory.revision, o),
  "lock()": (o: { ref?: boolean; signal?: AbortSignal }) => memory.lock(o),
  "changes()": (o: { ref?: boolean; signal?: AbortSignal }) => memory.changes(o).next(),
  "changes() of a value": (o: { ref?: boolean; signal?: AbortSignal }) => value.changes(o).next(),
  "acquire()": (o: { ref?: boolean; signal?: AbortSignal }) => semaphore.acquire(o),
};

if (way === "ref: false") {
  for (const wait of Object.values(waits)) wait({ ref: false }).catch(() => {});
  // One that would have kept it is called off again.
  for (const wait of Object.values(waits)) {
    const stop = new AbortController();
    Promise.resolve(wait({ signal: stop.signal })).catch(() => {});
    stop.abort(signal.reason);
  }
  writeSync(1, "waiting\n");
} else {
  const waiting = waits[way as keyof typeof waits]({});
  writeSync(1, "waiting\n");
  await waiting;
  writeSync(1, "woken\n");
}
