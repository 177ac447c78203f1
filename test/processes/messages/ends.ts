/**
 * Handles a request, or waits for the reply to one, and then ends in the way its arguments say; see ../exit/ways.ts. Any
 * runtime. Arguments: `serve` or `send`, and the way.
 */

import { readSync, writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";
import { type Way, WAYS } from "../exit/ways.ts";

const [, , role, way] = process.argv as [string, string, "serve" | "send", Way];
const deno = (globalThis as { Deno?: { exit(code: number): never } }).Deno;
/** Does not keep the process alive: a normal end is to be one. */
const ref = false;

if (role === "serve") {
  const guard = await SingleInstance.acquire("ends");
  await new Promise<void>((resolve) => {
    const alive = setInterval(() => {}, 1000);
    guard.serve(() => {
      clearInterval(alive);
      resolve();
      return new Promise(() => {});
    }, { ref });
    writeSync(1, "ready\n");
  });
  writeSync(1, "serves\n");
} else {
  const running = await SingleInstance.connect("ends");
  running.send("x", { ref }).catch(() => {});
  writeSync(1, "ready\n");
}
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
