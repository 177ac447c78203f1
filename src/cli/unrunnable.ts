/**
 * A COMMAND that does not run.
 *
 * @module
 */

import { EXIT } from "./exit_codes.ts";

/** Says why, and gives the exit code that shells have for it. */
export function unrunnable(program: Uint8Array, isMissing: boolean, why: string): number {
  console.error(`qshm: ${new TextDecoder().decode(program)}: ${isMissing ? "command not found" : why}`);
  return isMissing ? EXIT.notFound : EXIT.notRunnable;
}
