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

const deno = (globalThis as { Deno?: { exit(code: number): never } }).Deno;

/** Ends this process so; for a signal, which comes from outside, it stays alive. */
export function end(way: Way): void {
  switch (way) {
    case "normal end":
      break;
    case "process.exit()":
      process.exit(0);
      break;
    case "Deno.exit()":
      deno!.exit(0);
      break;
    case "uncaught error":
      throw new Error("on purpose");
    case "uncaught error in a timer":
      setTimeout(() => {
        throw new Error("on purpose");
      }, 0);
      break;
    case "unhandled rejection":
      void Promise.reject(new Error("on purpose"));
      break;
    default:
      if (!(way in WAYS)) throw new Error(`Unknown way: ${way}`);
      setInterval(() => {}, 1000);
  }
}
