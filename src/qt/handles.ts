/**
 * What of Qt's is open in this realm, closed in order at the end of the process. What the exit hook misses the library's
 * destructor does, and after a fatal signal the kernel and the next process.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";

/** Strong: an object whose variable is gone is open still. */
const open = new Set<{ close(): void }>();
let hookRegistered = false;

/** To be called when something is opened. */
export function noteOpen(object: { close(): void }): void {
  open.add(object);
  if (hookRegistered) return;
  hookRegistered = true;
  runtime().onExit(() => open.forEach((each) => each.close()));
}

/** To be called when it is closed. */
export function noteClosed(object: { close(): void }): void {
  open.delete(object);
}
