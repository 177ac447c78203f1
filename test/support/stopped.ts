/** Waiting for what the kernel knows of a process, without sleeping blindly. */

import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";

/** The state letter of a process (R, S, T, Z, ...), or "" if it is gone. */
export function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
  } catch {
    return "";
  }
}

/** Resolves once the process is stopped (SIGSTOP). */
export async function stopped(pid: number): Promise<void> {
  while (stateOf(pid) !== "T") {
    if (stateOf(pid) === "" || stateOf(pid) === "Z") throw new Error(`Process ${pid} ended instead of stopping`);
    await setImmediate();
  }
}
