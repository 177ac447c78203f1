/** Runs a program to its end, in any runtime. */

import { spawnSync } from "node:child_process";
import { testDirectory } from "../support/directory.ts";
import type { Command } from "../support/runtimes.ts";

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The path of a program in `programs/`. */
export function program(name: string): string {
  return new URL(`./programs/${name}.ts`, import.meta.url).pathname;
}

/** Runs it with a directory of its own for segments. */
export function run({ command, args }: Command, env: Readonly<Record<string, string | undefined>> = {}): Run {
  using directory = testDirectory();
  const { status, stdout, stderr, error } = spawnSync(command, [...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", QSHM_DIRECTORY: directory.path, ...env },
  });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}

/** What `programs/use.ts` prints. */
export interface Report {
  readonly ok: boolean;
  readonly name: string;
  readonly message: string;
  readonly code: string;
  readonly operation: string;
  readonly classes: readonly string[];
}

/** Runs it and reads the last line of what it prints. */
export function report(command: Command, env?: Readonly<Record<string, string | undefined>>): Report {
  const { stdout, stderr } = run(command, env);
  const line = stdout.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) throw new Error(`No report: ${stdout}${stderr}`);
  return JSON.parse(line);
}
