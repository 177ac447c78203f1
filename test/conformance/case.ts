/**
 * How behaviour is written down once and run in every runtime: a suite is a list of named functions that throw when
 * something is not as promised. Suites import nothing of a runtime or of vitest.
 */

export interface Case {
  readonly name: string;
  run(): void | Promise<void>;
  /**
   * What it needs beyond `--allow-ffi=<library>` in Deno; without it the case also runs under Deno with every other
   * permission denied.
   */
  readonly needs?: "view" | "system";
}

export interface Suite {
  readonly name: string;
  readonly cases: readonly Case[];
}

let counter = 0;

/** A key that no other case of this process uses. */
export function freshKey(hint = "key"): string {
  return `${hint}-${process.pid}-${++counter}`;
}
