/** A wait with `ref: false`, or with the default, while nothing else keeps the process alive. */

import { SharedMemory } from "../../../mod.ts";

const owner = SharedMemory.create("ref", 1);
const waiter = SharedMemory.attach("ref");
const lock = owner.lockSync();
void waiter.lock(process.argv[2] === "false" ? { ref: false } : {}).then((lock) => {
  console.log("locked");
  lock.unlock();
});
setTimeout(() => lock.unlock(), 100).unref();
console.log("waiting");
