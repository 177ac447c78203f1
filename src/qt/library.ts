/**
 * The library's functions for Qt's objects.
 *
 * @module
 */

import { native } from "../../ffi/load.ts";
import type { Group } from "../../ffi/native.ts";
import { withLibrary } from "../errors.ts";

let functions: Group<"qt"> | undefined;

/** Loads the library at first use. Throws what {@linkcode withLibrary} throws. */
export function library(): Group<"qt"> {
  return functions ??= withLibrary("load", "", () => native("qt"));
}

/** What the library's results mean where it matters here. */
export const TIMED_OUT = 0;
export const DONE = 1;
export const DEADLOCK = -12;
export const RESOURCES = -15;
