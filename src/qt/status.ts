/**
 * `error()` and `errorString()`: Qt's sticky errors, out of what the library reports.
 *
 * @module
 */

import { ERROR_TABLE } from "../error_table.ts";
import { outcomeDetails } from "../outcome.ts";
import { DEADLOCK, TIMED_OUT } from "./library.ts";

/** What went wrong, in Qt's words. */
export type Problem =
  | "NoError"
  | "PermissionDenied"
  | "InvalidSize"
  | "KeyError"
  | "AlreadyExists"
  | "NotFound"
  | "LockError"
  | "OutOfResources"
  | "UnknownError";

const SENTENCES: Readonly<Record<Problem, string>> = {
  NoError: "",
  PermissionDenied: "permission denied",
  InvalidSize: "invalid size",
  KeyError: "unable to make key",
  AlreadyExists: "already exists",
  NotFound: "doesn't exist",
  LockError: "unable to lock",
  OutOfResources: "out of resources",
  UnknownError: "unknown error",
};

function problemOf(result: number): Problem {
  if (result === TIMED_OUT || result === DEADLOCK) return "LockError";
  const code = ERROR_TABLE[result]?.code ?? "";
  return Object.hasOwn(SENTENCES, code) ? code as Problem : code === "Busy" ? "LockError" : "UnknownError";
}

/** The error of one object. */
export class Status {
  readonly #className: string;
  #problem: Problem = "NoError";
  #text = "";

  constructor(className: string) {
    this.#className = className;
  }

  /** What went wrong last. */
  get problem(): Problem {
    return this.#problem;
  }

  /** The same in a sentence; `""` without an error. */
  get text(): string {
    return this.#text;
  }

  /** Nothing has gone wrong. */
  clear(): void {
    this.#problem = "NoError";
    this.#text = "";
  }

  /** Gives `false`, for the caller to return. */
  set(method: string, problem: Problem, details?: string): false {
    this.#problem = problem;
    this.#text = `${this.#className}::${method}: ${SENTENCES[problem]}${details ? ` (${details})` : ""}`;
    return false;
  }

  /** What a result of the library means, with its `outcome` if it has filled one in. */
  setResult(method: string, result: number, hasOutcome: boolean): false {
    const details = result === TIMED_OUT
      ? "timed out"
      : result === DEADLOCK
      ? "another object of this thread holds the lock"
      : hasOutcome
      ? outcomeDetails()
      : "";
    return this.set(method, problemOf(result), details);
  }
}
