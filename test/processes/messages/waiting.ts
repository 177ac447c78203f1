/** A second start that waits for its reply, until Ctrl-C. Any runtime. */

import { runSingleInstance } from "../../../mod.ts";

process.exitCode = await runSingleInstance("ends", { main: () => 3, onRequest: () => {} });
