/** What the package, taken as shipped, adds to the start of a script. */

import { dirname } from "node:path";
import process from "node:process";
import type { RuntimeName } from "../../support/runtimes.ts";
import { addedTime, writeScript } from "../added.ts";
import type { Group, Plan, Samples } from "../row.ts";

/** What any package with a native library pays: the runtime's own foreign function interface, and one call. */
function openOnly(runtime: RuntimeName, library: string): string {
  const path = JSON.stringify(library);
  switch (runtime) {
    case "deno":
      return `Deno.dlopen(${path}, { qshm_abi_version: { parameters: [], result: "u32" } }).symbols.qshm_abi_version();`;
    case "bun":
      return `import { dlopen } from "bun:ffi";
        dlopen(${path}, { qshm_abi_version: { args: [], returns: "u32" } }).symbols.qshm_abi_version();`;
    case "node":
      return `process.emitWarning = () => {};
        process.getBuiltinModule("node:ffi").dlopen(${path}, { qshm_abi_version: { arguments: [], return: "u32" } }).functions.qshm_abi_version();`;
  }
}

/** The scripts' sources. All end by themselves. */
function scripts({ runtime, shipped, directory }: Plan): Readonly<Record<string, string>> {
  return {
    "script.import": `import ${JSON.stringify(shipped)};`,
    "script.tryCreate": `import { SharedMemory } from ${JSON.stringify(shipped)}; SharedMemory.tryCreate("start", 1);`,
    "script.acquire": `import { SingleInstance } from ${JSON.stringify(shipped)};
      const guard = await SingleInstance.acquire("start");`,
    "script.dlopen": openOnly(runtime, `${dirname(shipped)}/lib/linux-${process.arch}.so`),
    "script.node:net": `import { createServer } from "node:net";
      const server = createServer().listen(${JSON.stringify(`${directory}/socket`)}, () => server.close());`,
  };
}

function measure(plan: Plan): Promise<Samples> {
  const sources = scripts(plan);
  return addedTime(
    plan,
    new Map(plan.subjects.map((name) => [name, { command: writeScript(plan, name, sources[name]!), status: 0 }])),
  );
}

/** See {@linkcode Group}. */
export const startGroup: Group = {
  name: "start-up added",
  rows: [
    { name: "import", ours: "script.import" },
    {
      name: "import + tryCreate",
      ours: "script.tryCreate",
      target: { atMost: { deno: 4e6, bun: 2e6, node: 5e6 } },
    },
    {
      name: "import + acquire",
      ours: "script.acquire",
      target: { atMost: { deno: 4e6, bun: 2e6, node: 5e6 } },
    },
    {
      name: "import + acquire / the runtime's dlopen and one call",
      ours: "script.acquire",
      rival: "script.dlopen",
    },
    {
      name: "import + acquire / a guard by listening on a Unix socket",
      ours: "script.acquire",
      rival: "script.node:net",
      target: { fasterBy: 5 },
    },
    {
      name: "import + tryCreate / node:net listen on a Unix socket",
      ours: "script.tryCreate",
      rival: "script.node:net",
      target: { fasterBy: 5 },
    },
  ],
  measure,
};
