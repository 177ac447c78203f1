/** What has to be there before anything is measured: the rivals, in C and from the registry, and the package as shipped. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { LIBRARY, ROOT } from "../support/runtimes.ts";

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

/** Builds the package as it is shipped; gives the path of its `mod.js`. */
export function buildPackage(directory: string): string {
  execFileSync("npm", ["run", "--silent", "dist"], { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
  cpSync(`${ROOT}dist`, `${directory}/dist`, { recursive: true });
  writeFileSync(`${directory}/package.json`, `{ "type": "module" }`);
  return `${directory}/dist/mod.js`;
}
