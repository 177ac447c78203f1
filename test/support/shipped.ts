/** The package as it is shipped, made small and fast: one module, and the library beside it. */

import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { commandOf, ROOT } from "./runtimes.ts";

/** Installs it into a folder, whose programs then import `qshm`. */
export function installPackage(folder: string): void {
  const place = `${folder}/node_modules/qshm`;
  mkdirSync(`${place}/dist`, { recursive: true });
  const options = ["--target", "node", "--format", "esm", "--define", "require=require"];
  const args = ["build", `${ROOT}mod.ts`, "--outfile", `${place}/dist/mod.js`, ...options];
  execFileSync(commandOf("bun", "").command, args, { stdio: ["ignore", "ignore", "inherit"] });
  cpSync(`${ROOT}ffi/lib`, `${place}/dist/lib`, { recursive: true });
  for (const arch of ["x64", "arm64"]) { // whichever was not built stands there as something else
    const library = `${place}/dist/lib/linux-${arch}.so`;
    if (!existsSync(library)) writeFileSync(library, "another processor's");
  }
  writeFileSync(`${place}/package.json`, JSON.stringify({ name: "qshm", version: "0.0.0", type: "module", exports: "./dist/mod.js" }));
}

/** A program that takes a guard, and prints one line of JSON: the error, or the library that it has loaded. */
export function programOf(specifier: string): string {
  return `import { readFileSync } from "node:fs";
import { SingleInstance } from ${JSON.stringify(specifier)};

const libraries = () =>
  [...new Set(readFileSync("/proc/self/maps", "utf8").match(/\\/\\S*\\.so$/gm))].filter((path) => /linux-|\\.bun-/.test(path));
try {
  using _guard = SingleInstance.tryAcquire("bundled");
  console.log(JSON.stringify({ libraries: libraries() }));
} catch (error) {
  console.log(JSON.stringify({ name: error.name, error: error.message }));
}
`;
}
