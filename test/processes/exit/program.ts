/**
 * A program that attaches, locks and waits, and then ends in the way its argument says. Runs in any runtime.
 *
 * Keys: `attached` is attached only; `locked` is locked as well; `waited` is locked by another process, and this one
 * waits for it. `ready` on stdout means that all this is so.
 */

import { readSync, writeSync } from "node:fs";
import { SharedMemory } from "../../../mod.ts";
import { type Way, WAYS } from "./ways.ts";

const way = process.argv[2] as Way;
const deno = (globalThis as { Deno?: { exit(code: number): never } }).Deno;

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
switch (way) {
  case "normal end":
    break;
  case "process.exit()":
    process.exit(0);
    break;
  case "Deno.exit()":
    deno!.exit(0);
    break;
  case "uncaught error":
    throw new Error("on purpose");
  case "uncaught error in a timer":
    setTimeout(() => {
      throw new Error("on purpose");
    }, 0);
    break;
  case "unhandled rejection":
    void Promise.reject(new Error("on purpose"));
    break;
  default: {
    // The signal comes from outside; a timer keeps the process alive for it.
    if (!(way in WAYS)) throw new Error(`Unknown way: ${way}`);
    setInterval(() => {}, 1000);
  }
}
