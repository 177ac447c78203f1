/**
 * Handles a request, or waits for the reply to one, and then ends in the way its arguments say; see ../exit/ways.ts. Any
 * runtime. Arguments: `serve` or `send`, and the way.
 */

import { readSync, writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";
import { end, type Way } from "../exit/ways.ts";

const [, , role, way] = process.argv as [string, string, "serve" | "send", Way];
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
end(way);
