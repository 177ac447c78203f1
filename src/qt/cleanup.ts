/**
 * Functions that are called once, at the end of the process.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";

const functions = new Map<object, () => void>();
let isListening = false;

/** All that is left; one that throws does not keep the others from being called. */
function callAll(): void {
  const all = [...functions.values()];
  functions.clear();
  for (const each of all) {
    try {
      each();
    } catch (error) {
      console.error(error);
    }
  }
}

/** Calls `f` at the end, in place of what was set for `owner` before; `undefined`: nothing. */
export function atEnd(owner: object, f: (() => void) | undefined): void {
  if (f === undefined) functions.delete(owner);
  else functions.set(owner, f);
  if (isListening || f === undefined) return;
  isListening = true;
  runtime().onEnd(callAll);
}
