/** What has to be there before anything is measured: the rivals, in C and from the registry, and the package as shipped. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { LIBRARY, ROOT, type RuntimeName } from "../support/runtimes.ts";

const HERE = `${ROOT}test/bench/`;

/** Installs what `package.json` names, if it is absent. */
export function installRivals(): void {
  if (existsSync(`${HERE}node_modules/proper-lockfile`)) return;
  const flags = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
  execFileSync("npm", ["install", ...flags], { cwd: HERE, stdio: ["ignore", "ignore", "inherit"] });
}

/** Compiles `rivals.c`; gives the program's path. */
export function compileRivals(directory: string): string {
  const program = `${directory}/rivals`;
  const define = `-DQSHM_LIBRARY="${LIBRARY}"`;
  execFileSync(process.env.CC ?? "cc", ["-std=gnu11", "-O2", "-Wall", "-Wextra", define, "-o", program, `${HERE}rivals.c`, "-ldl"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return program;
}

/** Compiles the package as Deno and Node get it; gives the entry point for a runtime. Bun takes the sources. */
export function compilePackage(directory: string): (runtime: RuntimeName) => string {
  const out = `${directory}/dist`;
  const tsc = `${ROOT}node_modules/.bin/tsc`;
  execFileSync(tsc, ["-p", `${ROOT}tsconfig.build.json`, "--outDir", out, "--declaration", "false"], { stdio: "inherit" });
  mkdirSync(`${out}/ffi/lib`, { recursive: true });
  cpSync(LIBRARY, `${out}/ffi/lib/linux-${process.arch}.so`);
  writeFileSync(`${directory}/package.json`, `{ "type": "module" }`);
  return (runtime) => (runtime === "bun" ? `${ROOT}mod.ts` : `${out}/mod.js`);
}
