/** Holds a guard, or waits for one, and then ends in the way its argument says; see ../exit/ways.ts. Any runtime. */

import { readSync, writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";
import { type Way, WAYS } from "../exit/ways.ts";

const way = process.argv[2] as Way;
const deno = (globalThis as { Deno?: { exit(code: number): never } }).Deno;

// Not `using`: that would release it. And one that another process has.
const { recovered } = await SingleInstance.acquire("held");
SingleInstance.acquire("waited", { timeout: Infinity, ref: false }).catch(() => {});

writeSync(1, `ready ${recovered}\n`);
readSync(0, new Uint8Array(1), 0, 1, null);
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
