/**
 * What a check of `qshm doctor` found.
 *
 * @module
 */

/** One line of the report. */
export interface Finding {
  readonly check: string;
  readonly state: "ok" | "warning" | "broken";
  readonly found: string;
  /** What to do; of everything that is broken. */
  readonly remedy?: string;
}

/** All is well, or not this check's business. */
export function ok(check: string, found: string): Finding {
  return { check, state: "ok", found };
}

/** It works, and may surprise. */
export function warning(check: string, found: string, remedy: string): Finding {
  return { check, state: "warning", found, remedy };
}

/** It does not work. */
export function broken(check: string, found: string, remedy: string): Finding {
  return { check, state: "broken", found, remedy };
}
