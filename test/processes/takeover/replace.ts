/** Takes a guard over by all means, and says what came of it. Arguments: its name, and whether to kill. Any runtime. */

import { writeSync } from "node:fs";
import { SingleInstance } from "../../../mod.ts";

const [, , name, kill] = process.argv as [string, string, string, string];
try {
  using guard = await SingleInstance.acquire(name, { replace: { grace: 20, kill: kill === "kill" } });
  writeSync(1, `holds, recovered ${guard.recovered}\n`);
} catch (error) {
  writeSync(1, `${(error as Error).name}: ${(error as Error).message}\n`);
}
