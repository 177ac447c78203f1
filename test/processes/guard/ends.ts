/** Holds a guard, or waits for one, and then ends in the way its argument says; see ../exit/ways.ts. Any runtime. */

import { readSync, writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";
import { end, type Way } from "../exit/ways.ts";

const way = process.argv[2] as Way;

// Not `using`: that would release it. And one that another process has.
const { recovered } = await SingleInstance.acquire("held");
SingleInstance.acquire("waited", { timeout: Infinity, ref: false }).catch(() => {});

writeSync(1, `ready ${recovered}\n`);
readSync(0, new Uint8Array(1), 0, 1, null);
end(way);
