/** What a run has measured, and where. */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { arch, availableParallelism, cpus, release, type } from "node:os";
import { commandOf, type RuntimeName } from "../support/runtimes.ts";
import type { Line } from "./table.ts";

/** The contents of the file that `--json` writes and `--from` reads. */
export interface Results {
  /** Processors, operating system. */
  readonly machine: string;
  /** The versions of the runtimes. */
  readonly versions: Readonly<Partial<Record<RuntimeName, string>>>;
  readonly lines: readonly Line[];
}

function versionOf(runtime: RuntimeName): string {
  const text = execFileSync(commandOf(runtime, "").command, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(text)![0];
}

/** Adds to the lines where they were measured. */
export function resultsOf(runtimes: readonly RuntimeName[], lines: readonly Line[]): Results {
  return {
    machine: `${availableParallelism()} processors, ${cpus()[0]!.model}, ${type()} ${/^\d+\.\d+/.exec(release())![0]} ${arch()}`,
    versions: Object.fromEntries(runtimes.map((runtime) => [runtime, versionOf(runtime)])),
    lines,
  };
}

/** Reads what {@linkcode writeResults} has written. */
export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, "utf8"));
}

/** Writes a file for {@linkcode readResults}. */
export function writeResults(path: string, results: Results): void {
  writeFileSync(path, `${JSON.stringify(results, undefined, 1)}\n`);
}
