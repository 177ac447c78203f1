/** The project's own source files, for tests that read them. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { ROOT } from "../support/runtimes.ts";

/** Paths, relative to the project, that git knows and that match. */
export function files(pattern: RegExp): string[] {
  return execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: ROOT, encoding: "utf8" })
    .split("\n").filter((path) => pattern.test(path)).sort();
}

/** A file's text. */
export function read(path: string): string {
  return readFileSync(ROOT + path, "utf8");
}

/** The modules that a TypeScript file imports or re-exports, resolved against the project. */
export function imports(path: string): string[] {
  return [...read(path).matchAll(/^(?:import|export)\s[^;]*?from\s+"([^"]+)"/gms)].map(([, specifier]) =>
    specifier!.startsWith(".") ? new URL(specifier!, `file:///${path}`).pathname.slice(1) : specifier!
  );
}
