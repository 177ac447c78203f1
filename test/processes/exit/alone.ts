/** Small programs about what keeps a process alive, by their first argument. */

import { writeSync } from "node:fs";
import { SharedMemory } from "../../../mod.ts";

const say = (line: string): void => void writeSync(1, `${line}\n`);

switch (process.argv[2]) {
  case "hold": // attaches, locks, and ends
    SharedMemory.create("mine", 64).lockSync();
    say("holding");
    break;
  case "wait": { // waits for a lock that another has
    const memory = SharedMemory.attach("waited");
    void memory.lock().then((lock) => {
      say("got");
      lock.unlock();
    });
    say("waiting");
    break;
  }
  case "wait without ref": {
    const memory = SharedMemory.attach("waited");
    void memory.lock({ ref: false }).then(() => say("got"));
    say("waiting");
    break;
  }
}
