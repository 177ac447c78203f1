/** The runtimes under test, and how a program is started in each of them. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export type RuntimeName = "deno" | "bun" | "node";

export const ROOT: string = fileURLToPath(new URL("../../", import.meta.url));

/** The library with steps that can stop, kill or fail the process. */
export const TEST_LIBRARY = `${ROOT}c/build/test/qshm.so`;
export const LIBRARY = `${ROOT}ffi/lib/linux-${process.arch}.so`;

// The binaries themselves, not npm's wrappers: a signal has to reach the runtime.
const binary = (name: RuntimeName): string => `${ROOT}node_modules/.bin/${name}`;

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

/** The command that runs a TypeScript program with all permissions. */
export function commandOf(runtime: RuntimeName, program: string, args: readonly string[] = []): Command {
  const flags = { deno: ["run", "--no-check", "--quiet", "-A"], bun: [], node: [] }[runtime];
  return { command: binary(runtime), args: [...flags, program, ...args] };
}

/** As `commandOf`, for Deno with nothing granted but the library. */
export function sandboxedDeno(program: string, args: readonly string[] = [], library: string = LIBRARY): Command {
  const denied = ["read", "write", "env", "net", "run", "sys"].map((name) => `--deny-${name}`);
  return {
    command: binary("deno"),
    args: ["run", "--no-check", "--quiet", "--no-prompt", ...denied, `--allow-ffi=${library}`, program, ...args],
  };
}

/** The runtimes that are installed. QSHM_REQUIRE names those whose absence is a failure. */
export const RUNTIMES: readonly RuntimeName[] = (["deno", "bun", "node"] as const).filter((name) => {
  if (existsSync(binary(name))) return true;
  if ((process.env.QSHM_REQUIRE ?? "").split(",").includes(name)) throw new Error(`Required, but not installed: ${name}`);
  return false;
});
