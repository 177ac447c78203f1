/** What keeps a process alive, and what does not: waiting for a change, following one, waiting for permits or a turn. */

import { SharedMemory, SharedValue, SystemSemaphore } from "../../../mod.ts";

const [what, ref] = process.argv.slice(2);
const options = { ...(ref === "false" && { ref: false }) };
const memory = SharedMemory.create("memory", 1);
const value = SharedValue.open<number>("value");
const semaphore = SystemSemaphore.open("semaphore", { initial: 0 });
const end = (): void => console.log("woken");

/** Begins a wait, and gives what ends it. */
function begin(): () => void {
  if (what === "waitForChange") {
    void memory.waitForChange(0, options).then(end);
    return () => memory.notify();
  }
  if (what === "changes") {
    void memory.changes(options).next().then(end);
    return () => memory.notify();
  }
  if (what === "values") {
    void value.changes(options).next().then(end);
    return () => value.set(1);
  }
  if (what === "acquire") {
    void semaphore.acquire(options).then(end);
    return () => semaphore.release();
  }
  // One of each kind that keeps nothing alive beside one that does, which is then aborted.
  const controller = new AbortController();
  void memory.waitForChange(0, { ref: false }).then(end);
  void memory.changes({ ref: false }).next().then(end);
  void memory.waitForChange(0, { signal: controller.signal }).catch(() => console.log("aborted"));
  return () => controller.abort();
}

const wake = begin();
setTimeout(wake, 700).unref(); // later than any timer of a wait comes due
console.log("waiting");
