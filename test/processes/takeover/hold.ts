/** Holds a guard until its input ends. Any runtime. */

import { writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";

using guard = await SingleInstance.acquire(process.argv[2]!);
guard.replaced.addEventListener("abort", () => writeSync(1, "asked\n"));
writeSync(1, `holds ${guard.recovered}\n`);
for await (const _ of process.stdin);
