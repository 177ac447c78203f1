/**
 * Views of the library's memory that scripts hold, and how they end: there is exactly one buffer a mapping, so that all views
 * of it can be emptied before the range is given back.
 *
 * @module
 */

import { runtime } from "../ffi/load.ts";
import type { Address } from "../ffi/native.ts";
import { PermissionDeniedError } from "./errors.ts";

/** The bytes at an address, without a copy. */
export function viewOf(address: Address, size: number, subject: string, key: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(runtime().view(address, size));
  } catch (error) {
    const advice = runtime().permissionAdvice(error);
    if (advice === undefined) throw error;
    throw new PermissionDeniedError(`Cannot view ${subject}: ${advice}, or use read() and write()`, {
      code: "PermissionDenied",
      operation: "view",
      key,
      cause: error,
    });
  }
}

/** Empties all views of a buffer. `false`: it was transferred away, and somebody may hold the range for ever. */
export function emptyViews(view: Uint8Array<ArrayBuffer> | undefined): boolean {
  const buffer = view?.buffer;
  if (buffer === undefined) return true;
  if (buffer.detached) return false;
  try {
    buffer.transfer(0);
    return true;
  } catch {
    return false; // a buffer that the user made undetachable, as WebAssembly does
  }
}
