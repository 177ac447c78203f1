/** Arms steps of the test build's library; see c/src/fault.c. For use in a process that loaded that library. */

import { bind } from "../../ffi/load.ts";

const SYMBOLS = {
  qshm_test_arm: { parameters: ["u32", "u32"], result: "i32" },
  qshm_test_steps: { parameters: ["out", "u32"], result: "i32" },
} as const;

export const ACTIONS = { count: 0, stop: 1, kill: 2, fail: 3 } as const;

/** Counts steps from now on, and does `action` at the `step`th. */
export function arm(step: number, action: keyof typeof ACTIONS): void {
  bind(SYMBOLS).qshm_test_arm(step, ACTIONS[action]);
}

/** The names of the steps passed since; ends the counting. */
export function steps(): string[] {
  const text = new Uint8Array(1 << 15);
  bind(SYMBOLS).qshm_test_steps(text, text.length);
  return new TextDecoder().decode(text.subarray(0, text.indexOf(0))).split("\n").filter((name) => name !== "");
}
