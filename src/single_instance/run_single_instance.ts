/**
 * A program of which one runs: the first works, later ones hand it their arguments.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";
import { AlreadyRunningError, NotRunningError } from "../errors.ts";
import { checkOptions, checkTimeout, describe } from "../validate.ts";
import { checkEnvironment } from "./running_instance.ts";
import type { RequestHandler } from "./serving.ts";
import { GUARD_OPTIONS, type GuardOptions, SingleInstance } from "./single_instance.ts";

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
  const deadline = performance.now() + checkTimeout(timeout);
  const forwarding = { args: guard.args ?? runtime().args(), env: checkEnvironment(env), ...(signal && { signal }) };
  const place = guard.directory === undefined ? {} : { directory: guard.directory };
  let refusing: number | undefined; // since when (ms)
  for (;;) {
    const held = await hold(name, guard, refusing === undefined ? 0 : PAUSE, signal);
    if (held instanceof SingleInstance) return await work(held, main, onRequest);
    if (onRequest === undefined || (refusing !== undefined && performance.now() - refusing > LEAVING)) throw held;
    try {
      using running = await SingleInstance.connect(name, place);
      const reply = await running.forward({ ...forwarding, timeout: Math.max(deadline - performance.now(), 0) });
      if (reply.stdout !== undefined) runtime().print(1, reply.stdout);
      if (reply.stderr !== undefined) runtime().print(2, reply.stderr);
      return reply.exitCode ?? 0;
    } catch (error) {
      if (!(error instanceof NotRunningError && error.delivered === "no")) throw error;
      refusing ??= performance.now();
    }
  }
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
