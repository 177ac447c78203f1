/** The program of the first lines of the design: its job is to add a line to a file. */

import { appendFileSync, readSync, writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";

using guard = await SingleInstance.acquire("mytool");
appendFileSync(process.argv[2]!, `${process.pid} ${guard.recovered}\n`);
writeSync(1, "runs\n");
readSync(0, new Uint8Array(1), 0, 1, null); // until it may end
