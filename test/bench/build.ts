/** What has to be there before anything is measured or drawn: what the registry has, the rivals in C, the package as shipped. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { LIBRARY, ROOT, type RuntimeName } from "../support/runtimes.ts";

const HERE = `${ROOT}test/bench/`;

/** Installs what `package.json` names, if any of it is absent. */
export function installDependencies(): void {
  const { dependencies } = JSON.parse(readFileSync(`${HERE}package.json`, "utf8"));
  if (Object.keys(dependencies).every((name) => existsSync(`${HERE}node_modules/${name}`))) return;
  const flags = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
  execFileSync("npm", ["install", ...flags], { cwd: HERE, stdio: ["ignore", "ignore", "inherit"] });
}

/** Compiles `rivals.c` and `partners.c`; gives the program's path. */
export function compileRivals(directory: string): string {
  const program = `${directory}/rivals`;
  const define = `-DQSHM_LIBRARY="${LIBRARY}"`;
  const sources = ["rivals.c", "partners.c"].map((name) => `${HERE}${name}`);
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", define];
  execFileSync(process.env.CC ?? "cc", [...flags, "-o", program, ...sources, "-ldl", "-pthread"], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  return program;
}

/** Compiles `rivals_qt.cpp` with Qt 6, once; gives the program's path. */
export function compileQtRivals(directory: string): string {
  const program = `${directory}/rivals_qt`;
  if (existsSync(program)) return program;
  const flags = execFileSync("pkg-config", ["--cflags", "--libs", "Qt6Core"], { encoding: "utf8" }).trim().split(/\s+/);
  const all = ["-std=c++17", "-O2", "-fPIC", "-o", program, `${HERE}rivals_qt.cpp`, ...flags];
  execFileSync(process.env.CXX ?? "g++", all, { stdio: ["ignore", "inherit", "inherit"] });
  return program;
}

/** Builds the package as it is shipped; gives the path of what each runtime imports. */
export function buildPackage(directory: string): (runtime: RuntimeName) => string {
  const env = { ...process.env, ARCHS: process.arch }; // so that no other compiler is needed
  execFileSync("npm", ["run", "--silent", "dist"], { cwd: ROOT, env, stdio: ["ignore", "ignore", "inherit"] });
  cpSync(`${ROOT}dist`, `${directory}/dist`, { recursive: true });
  writeFileSync(`${directory}/package.json`, `{ "type": "module" }`);
  const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));
  return (runtime) => `${directory}/${exports["."][runtime]}`;
}
