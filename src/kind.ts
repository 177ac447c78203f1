/**
 * The kinds of named objects. A key of one kind never meets the same key of another.
 *
 * @module
 */

import { describe } from "./validate.ts";

/** What a segment is. */
export type Kind = "memory" | "value" | "semaphore" | "instance";

/** The library's number of each kind. */
export const KIND_NUMBERS: Readonly<Record<Kind, number>> = { memory: 1, value: 2, semaphore: 3, instance: 4 };

/** What each kind is called in a sentence. */
export const KIND_NOUNS: Readonly<Record<Kind, string>> = {
  memory: "shared memory",
  value: "shared value",
  semaphore: "semaphore",
  instance: "instance",
};

/** Checks a kind. */
export function checkKind(kind: unknown): Kind {
  if (typeof kind !== "string" || !Object.hasOwn(KIND_NUMBERS, kind)) {
    throw new TypeError(
      `Kind must be "memory", "value", "semaphore" or "instance": got ${typeof kind === "string" ? JSON.stringify(kind) : describe(kind)}`,
    );
  }
  return kind as Kind;
}
