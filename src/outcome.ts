/**
 * How a call into the library went: the reader of `struct qshm_outcome`.
 *
 * @module
 */

import { errorOf } from "./errors.ts";
import { type Kind, KIND_NOUNS } from "./kind.ts";

/** One for all calls: they are synchronous, and each reads it before the next. */
const bytes = new Uint8Array(4760);
const fields = new DataView(bytes.buffer);
const CALL = 24;
const WHY = 48;
const PATH = 152;

/** The buffer to pass as `outcome`. */
export const outcome: Uint8Array = bytes;

/** Bits of {@linkcode outcomeFlags}. */
export const CREATED = 1;
/** A former user ended without detaching. */
export const RECOVERED = 2;

/** `IncompatibleError`: somebody uses it. */
export const USED = 16;
/** `qshm_arguments`: the list begins with the runtime's own. */
export const WITH_RUNTIME = 32;

/** What came out, beyond the result. */
export function outcomeFlags(): number {
  return fields.getUint32(8, true);
}

/** The process that is in the way, or 0. */
export function outcomePid(): number {
  return fields.getUint32(4, true);
}

/** The system's error number, or 0. */
export function outcomeErrno(): number {
  return fields.getInt32(0, true);
}

/** What the system, or a check, said. */
export function outcomeWhy(): string {
  return text(WHY);
}

/** Bytes of the payload. */
export function outcomeSize(): number {
  return fields.getFloat64(16, true);
}

/** The path of the segment's file. */
export function outcomePath(): string {
  return text(PATH);
}

function text(from: number): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(from, bytes.indexOf(0, from)));
}

/** What is known of the last call beyond its result, in a line. */
export function outcomeDetails(): string {
  const why = text(WHY);
  const call = text(CALL);
  return [...(call ? [`${call}, errno ${outcomeErrno()}: ${why}`] : why ? [why] : []), text(PATH)].join("; ");
}

/** The error that the last call ended in. */
export function outcomeError(result: number, operation: string, kind: Kind, key: string): Error {
  return errorOf({
    result,
    operation,
    key,
    subject: key === "" ? "segments" : `${KIND_NOUNS[kind]} ${JSON.stringify(key)}`,
    why: text(WHY),
    path: text(PATH),
    syscall: text(CALL),
    errno: fields.getInt32(0, true),
    pid: fields.getUint32(4, true),
  });
}
