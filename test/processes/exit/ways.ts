/** The ways in which a program ends, and what is known of each. */

/** `signal`: sent to it. `orderly`: the clean-up runs. `only`: the runtime that has it. `code`: its exit code. */
export const WAYS = {
  "normal end": { orderly: true, code: 0 },
  "process.exit()": { orderly: true, code: 0 },
  "Deno.exit()": { orderly: true, code: 0, only: "deno" },
  "uncaught error": { orderly: true, code: 1 },
  "uncaught error in a timer": { orderly: true, code: 1 },
  "unhandled rejection": { orderly: true, code: 1 },
  SIGTERM: { orderly: false, signal: "SIGTERM" },
  SIGINT: { orderly: false, signal: "SIGINT" },
  SIGHUP: { orderly: false, signal: "SIGHUP" },
  SIGKILL: { orderly: false, signal: "SIGKILL" },
} as const satisfies Record<
  string,
  { orderly: boolean; code?: number; only?: "deno"; signal?: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGKILL" }
>;

export type Way = keyof typeof WAYS;
