/**
 * Which directory is meant.
 *
 * @module
 */

import { environment } from "../command.ts";

/** A directory, and who chose it. */
export interface Directory {
  readonly path: string;
  readonly chosenBy: "--directory" | "QSHM_DIRECTORY" | "default";
}

/** The directory that `--directory`, the environment, or nobody names; the library chooses in the same way. */
export async function directoryOf(option: string | undefined): Promise<Directory> {
  if (option !== undefined) return { path: trimmed(option), chosenBy: "--directory" };
  const variable = environment("QSHM_DIRECTORY");
  if (variable !== undefined && variable !== "") return { path: trimmed(variable), chosenBy: "QSHM_DIRECTORY" };
  const { default: process } = await import("node:process");
  return { path: `/dev/shm/qshm-${process.geteuid()}`, chosenBy: "default" };
}

/** With a slash at its end a link would be followed. */
function trimmed(path: string): string {
  return path.replace(/(?<=.)\/+$/, "");
}
