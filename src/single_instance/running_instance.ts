/**
 * The running instance, as another process sees it.
 *
 * @module
 */

import { runtime } from "../../ffi/load.ts";
import { checkOptions, describe } from "../validate.ts";
import { checkWait, type WaitOptions } from "../wait.ts";
import { checkArgs, type InstanceInfo } from "./info.ts";
import { encodeRequest, type InstanceReply } from "./message.ts";
import type { Payload } from "./payload.ts";
import { Connection, messages } from "./sending.ts";

/** What to forward. */
export interface ForwardOptions extends WaitOptions {
  /** The arguments. Default: this program's own. */
  args?: readonly string[];
  /** The working directory. Default: this process's own; `""` if that was deleted. */
  cwd?: string;
  /** The names of the environment variables to send; those that are not set, or may not be read, are left out. Default: none. */
  env?: readonly string[];
}

/** Makes a {@linkcode RunningInstance}; only `SingleInstance.connect` does. */
export let runningInstance: (name: string, directory: string | undefined, info: InstanceInfo) => RunningInstance;

/**
 * Another process that holds a guard. Made by `SingleInstance.connect`.
 *
 * What is sent goes to whoever holds the guard when it is taken: if the one that was found has left, to its successor.
 *
 * @example Who runs?
 * ```ts
 * import { SingleInstance } from "qshm";
 *
 * using _guard = await SingleInstance.acquire("running-example", { args: ["serve"] });
 * using running = await SingleInstance.connect("running-example");
 * console.assert(running.info.pid === process.pid && running.info.args[0] === "serve");
 * ```
 */
export class RunningInstance implements Disposable {
  /** What it says of itself; as it was when the connection was made. */
  readonly info: InstanceInfo;
  readonly #connection: Connection;

  static {
    runningInstance = (name: string, directory: string | undefined, info: InstanceInfo): RunningInstance =>
      new RunningInstance(name, directory, info);
  }

  private constructor(name: string, directory: string | undefined, info: InstanceInfo) {
    this.info = info;
    this.#connection = new Connection(name, directory);
  }

  /**
   * Sends a message, and waits for the reply.
   *
   * It is handled once, or not at all, and what became of it is always told: by the reply, or by the error. A
   * `TimeoutError` has a property `delivered` too: `"no"`, and it will not be handled any more; or `"unknown"`.
   *
   * @param data JSON, or bytes.
   * @param options How to wait. Default: as long as the holder lives.
   * @returns What the handler answered.
   * @throws {NotRunningError} Nobody takes it: `delivered` is `"no"`; or the holder died or left while it handled it:
   * `"unknown"`.
   * @throws {RequestFailedError} The handler threw.
   * @throws {MessageTooLargeError} It has more bytes than the holder's `maxMessageSize`. Nothing was sent.
   * @throws {OutOfResourcesError} There is no room for it. Nothing was sent.
   * @throws {TypeError} `data` is neither JSON nor bytes: says where.
   *
   * @example Ask the one that runs
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * await using guard = await SingleInstance.acquire("send-example");
   * guard.serve(({ data }) => ({ data: { echo: data! } }));
   *
   * using running = await SingleInstance.connect("send-example"); // in another process, as a rule
   * const { data } = await running.send({ hello: [1, 2] }, { timeout: 5000 });
   * console.assert(JSON.stringify(data) === '{"echo":{"hello":[1,2]}}');
   * ```
   */
  send(data: Payload, options?: WaitOptions): Promise<InstanceReply> {
    try {
      if (data === undefined) throw new TypeError("Data must be JSON or a Uint8Array: got undefined");
      const body = encodeRequest({ kind: "message", args: [], cwd: "", env: {}, data });
      return this.#connection.request(body, checkWait(options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Sends what this program was started with, for the one that runs to do the work; otherwise as
   * {@linkcode RunningInstance.send}.
   *
   * @param options What to forward, and how to wait.
   * @returns What the handler answered: `exitCode`, `stdout` and `stderr` are for this process to exit with and to print.
   *
   * @example A second start hands its arguments over
   * ```ts
   * import { SingleInstance } from "qshm";
   *
   * await using guard = await SingleInstance.acquire("forward-example");
   * guard.serve(({ args, cwd }) => ({ stdout: `opened ${args.join(", ")} of ${cwd}`, exitCode: 0 }));
   *
   * using running = await SingleInstance.connect("forward-example");
   * const reply = await running.forward({ args: ["a.txt"], cwd: "/tmp", env: ["LANG"] });
   * console.assert(reply.stdout === "opened a.txt of /tmp" && reply.exitCode === 0);
   * ```
   */
  forward(options?: ForwardOptions): Promise<InstanceReply> {
    try {
      const { args, cwd, env, ...wait } = checkOptions(options, ["args", "cwd", "env", "timeout", "signal", "ref"]);
      return this.#connection.request(encodeForward({ args, cwd, env }), checkWait(wait));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Ends the connection; what waits for a reply rejects with an `AbortError`. */
  close(): void {
    this.#connection.close();
  }

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Checks and encodes what is forwarded. */
export function encodeForward({ args, cwd, env }: { args?: unknown; cwd?: unknown; env?: unknown }): Uint8Array {
  return encodeRequest({
    kind: "arguments",
    args: checkArgs(args),
    cwd: cwd === undefined ? workingDirectory() : checkCwd(cwd),
    env: environment(env),
    data: undefined,
  });
}

function checkCwd(cwd: unknown): string {
  if (typeof cwd !== "string") throw new TypeError(`Cwd must be a string: got ${describe(cwd)}`);
  return cwd;
}

const LONGEST_PATH = 4096;

/** Asked of the library: Deno's own needs a permission. */
function workingDirectory(): string {
  const path = new Uint8Array(LONGEST_PATH);
  const size = messages().qshm_working_directory(path, path.length);
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(path.subarray(0, Math.max(size, 0)));
}

/** Checks the names of an `env` option. */
function checkEnvironment(names: unknown): readonly string[] {
  if (names === undefined) return [];
  if (!Array.isArray(names)) throw new TypeError(`Env must be an array of names: got ${describe(names)}`);
  for (const [i, name] of names.entries()) {
    if (typeof name !== "string" || name === "" || /[=\0]/.test(name)) {
      const what = typeof name === "string" ? JSON.stringify(name) : describe(name);
      throw new TypeError(`Env[${i}] must be the name of an environment variable: got ${what}`);
    }
  }
  return names as readonly string[];
}

function environment(names: unknown): Record<string, string> {
  const variables: Record<string, string> = Object.create(null);
  for (const name of checkEnvironment(names)) {
    const value = runtime().env(name);
    if (value !== undefined) variables[name] = value;
  }
  return variables;
}
