/** Starts the `qshm` command as a user does: through its launcher, in the runtime that a test asks for. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { ROOT, type RuntimeName } from "../support/runtimes.ts";

export const LAUNCHER = `${ROOT}src/cli/launch.sh`;

export interface StartOptions {
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Run as this user and group; for root only. */
  readonly uid?: number;
  readonly gid?: number;
}

export interface Result {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** What `stdout` was decoded from. */
  readonly stdoutBytes: Buffer;
}

/** The environment in which the launcher finds the tested runtimes, and starts this one. */
export function environmentFor(runtime: RuntimeName, env: StartOptions["env"] = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${ROOT}node_modules/.bin:${process.env.PATH}`, QSHM_RUNTIME: runtime, ...env };
}

/** Starts the command; its standard streams are pipes. */
export function startQshm(runtime: RuntimeName, args: readonly string[], options: StartOptions = {}): ChildProcess {
  const { env, ...others } = options;
  return spawn(LAUNCHER, args, { ...others, env: environmentFor(runtime, env) });
}

/** Runs the command to its end. */
export async function qshm(
  runtime: RuntimeName,
  args: readonly string[],
  options: StartOptions & { readonly input?: string | Uint8Array } = {},
): Promise<Result> {
  const { input = "", ...start } = options;
  const child = startQshm(runtime, args, start);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout!.on("data", (bytes) => stdout.push(bytes));
  child.stderr!.on("data", (bytes) => stderr.push(bytes));
  child.stdin!.on("error", () => {}); // it ended without reading
  child.stdin!.end(input);
  const [code, signal] = await once(child, "close");
  const stdoutBytes = Buffer.concat(stdout);
  return { code, signal, stdout: stdoutBytes.toString(), stderr: Buffer.concat(stderr).toString(), stdoutBytes };
}
