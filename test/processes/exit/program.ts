/**
 * A program that attaches, locks and waits, and then ends in the way its argument says. Runs in any runtime.
 *
 * Keys: `attached` is attached only; `locked` is locked as well; `waited` is locked by another process, and this one
 * waits for it. `ready` on stdout means that all this is so.
 */

import { readSync, writeSync } from "node:fs";
import { SharedMemory } from "../../../mod.ts";
import { end, type Way } from "./ways.ts";

const way = process.argv[2] as Way;

// Not `using`: that would detach.
SharedMemory.create("attached", 64);
const locked = SharedMemory.attach("locked");
locked.lockSync();
locked.data[0] = 1;
SharedMemory.attach("waited").lock({ ref: false }).catch(() => {});

const wait = async (): Promise<void> => {
  writeSync(1, "ready\n");
  readSync(0, new Uint8Array(1), 0, 1, null);
};

await wait();
end(way);
