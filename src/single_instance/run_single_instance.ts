/**
 * A program of which one runs: the first works, later ones hand it their arguments.
 *
 * @module
 */

import { AlreadyRunningError, NotRunningError, timeoutError } from "../errors.ts";
import { checkOptions, describe } from "../validate.ts";
import { checkWait } from "../wait.ts";
import { encodeForward } from "./running_instance.ts";
import { Connection, messages } from "./sending.ts";
import type { RequestHandler } from "./serving.ts";
import { GUARD_OPTIONS, type GuardOptions, SingleInstance, tryHold } from "./single_instance.ts";

/** What the one instance does, and what later ones hand over. */
export interface RunOptions extends GuardOptions {
  /** The program; gives its exit code, 0 if nothing. The guard is released when it ends. */
  main(instance: SingleInstance): number | void | Promise<number | void>;
  /** Answers later starts while `main` runs. Without it, they reject with `AlreadyRunningError`. */
  onRequest?: RequestHandler;
  /** The names of the environment variables that later starts send. Default: none. */
  env?: readonly string[];
  /** How many ms a later start waits for the reply; then a `TimeoutError`. Default: `Infinity`. */
  timeout?: number;
  /** Aborting ends the wait of a later start. */
  signal?: AbortSignal;
}

/**
 * ms for which a later start waits by blocking: it has nothing else to do, and a bell takes as long to set up as all the
 * rest, in Deno three times as long. A signal that comes is heard at once, by its default action, or after it.
 */
const BRIEF = 20;
/** ms between two tries while the first is leaving. */
const PAUSE = 20;
/** ms that one may take to leave; who then still refuses does not take requests at all, such as `qshm run`. */
const LEAVING = 5000;

/**
 * Runs `main`, if this is the only instance. Otherwise forwards this program's arguments to the one that runs, prints what
 * that replies, and resolves to its exit code. If that one is just leaving, this one becomes the first itself.
 *
 * @param name Any text without NUL.
 * @param options The program, and what answers later starts.
 * @returns The exit code: of `main`, or the one that the running instance replied.
 * @throws {AlreadyRunningError} Another one runs, and takes no requests.
 * @throws {NotRunningError} The running one died or left while it handled the request: `delivered` is `"unknown"`.
 * @throws {RequestFailedError} `onRequest` threw there.
 *
 * @example The whole of a program
 * ```ts
 * import { runSingleInstance } from "qshm";
 *
 * const code = await runSingleInstance("run-example", {
 *   async main(instance) {
 *     await new Promise((resolve) => setTimeout(resolve, 10)); // or until instance.replaced aborts
 *     return instance.recovered ? 1 : 0;
 *   },
 *   onRequest: ({ args }) => ({ stdout: `will open ${args.join(" ")}\n` }),
 * });
 * console.assert(code === 0); // process.exit(code), in a program
 * ```
 */
export async function runSingleInstance(name: string, options: RunOptions): Promise<number> {
  const { main, onRequest, env, timeout, signal, ...guard } = checkOptions(options, [
    ...GUARD_OPTIONS,
    "main",
    "onRequest",
    "env",
    "timeout",
    "signal",
  ]);
  if (typeof main !== "function") throw new TypeError(`Main must be a function: got ${describe(main)}`);
  if (onRequest !== undefined && typeof onRequest !== "function") {
    throw new TypeError(`OnRequest must be a function: got ${describe(onRequest)}`);
  }
  const wait = checkWait({ ...(timeout !== undefined && { timeout }), ...(signal !== undefined && { signal }) });
  wait.signal?.throwIfAborted();
  const deadline = performance.now() + wait.timeout;
  const body = encodeForward({ args: guard.args, env });
  let refusing: number | undefined; // since when (ms)
  for (;;) {
    const isFirst = refusing === undefined && onRequest !== undefined;
    const held = isFirst ? tryHold(name, guard) : await hold(name, guard, refusing === undefined ? 0 : PAUSE, signal);
    if (held instanceof SingleInstance) return await work(held, main, onRequest);
    if (onRequest === undefined || (refusing !== undefined && performance.now() - refusing > LEAVING)) throw held;
    using connection = new Connection(name, guard.directory);
    try {
      const left = Math.max(deadline - performance.now(), 0);
      const reply = await connection.request(body, { ...wait, timeout: left }, BRIEF);
      if (reply.stdout !== undefined) print(1, reply.stdout);
      if (reply.stderr !== undefined) print(2, reply.stderr);
      return reply.exitCode ?? 0;
    } catch (error) {
      if (!(error instanceof NotRunningError && error.delivered === "no")) throw error;
      if (performance.now() >= deadline) {
        const what = `the reply of instance ${JSON.stringify(name)}: the message was not accepted`;
        throw Object.assign(timeoutError(what, wait.timeout), { delivered: "no" });
      }
      refusing ??= performance.now();
    }
  }
}

/** Writes without the runtime's own stream, which Bun takes 7 ms to make. */
function print(stream: 1 | 2, text: string): void {
  const bytes = new TextEncoder().encode(text);
  messages().qshm_print(stream, bytes, bytes.length);
}

async function hold(
  name: string,
  guard: GuardOptions,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<SingleInstance | AlreadyRunningError> {
  try {
    return await SingleInstance.acquire(name, { ...guard, timeout, ...(signal && { signal }) });
  } catch (error) {
    if (error instanceof AlreadyRunningError) return error;
    throw error;
  }
}

async function work(
  instance: SingleInstance,
  main: RunOptions["main"],
  onRequest: RequestHandler | undefined,
): Promise<number> {
  await using guard = instance;
  if (onRequest !== undefined) guard.serve(onRequest);
  return await main(guard) ?? 0;
}
