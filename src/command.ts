/**
 * What the `qshm` command needs and programs do not: its arguments as the kernel has them, and a child that keeps a
 * guard's name held. Not part of the public API.
 *
 * @module
 */

import { loadedPath, native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { withLibrary } from "./errors.ts";
import { outcome, outcomeErrno, outcomeError, outcomeFlags, outcomeWhy, WITH_RUNTIME } from "./outcome.ts";
import { attachmentOf, type SingleInstance } from "./single_instance/single_instance.ts";

let functions: Group<"command"> | undefined;

function library(): Group<"command"> {
  return functions ??= withLibrary("run", "", () => native("command"));
}

/** The arguments of this process, byte for byte. `withRuntime`: those of the runtime, and the script, come first. */
export function kernelArguments(): { readonly args: readonly Uint8Array[]; readonly withRuntime: boolean } {
  const { qshm_arguments } = library();
  let bytes = new Uint8Array(65536);
  let size = qshm_arguments(bytes, bytes.length, outcome);
  if (size > bytes.length) {
    bytes = new Uint8Array(size);
    size = qshm_arguments(bytes, bytes.length, outcome);
  }
  if (size < 0) throw outcomeError(size, "read the arguments of", "instance", "");
  const args: Uint8Array[] = [];
  for (let at = 0; at < size;) {
    const end = bytes.indexOf(0, at);
    args.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return { args, withRuntime: (outcomeFlags() & WITH_RUNTIME) !== 0 };
}

/** The program's arguments, as the runtime tells them. */
export function programArguments(): readonly string[] {
  return runtime().args();
}

/** A program cannot be run; the message is the system's. */
export class RunError extends Error {
  override readonly name = "RunError";
  /** The system's error number. */
  readonly errno: number;

  constructor(message: string, errno: number) {
    super(message);
    this.errno = errno;
  }
}

/**
 * Runs a program and blocks until it ends; signals are passed on to it. It inherits the guard: the name stays held while
 * it lives, even if this process is killed.
 *
 * @param guard The guard.
 * @param command The program and its arguments.
 * @returns Its exit status, or 128 + the signal that ended it.
 * @throws {RunError} It is not found, or cannot be run.
 */
export function runCommand(guard: SingleInstance, command: readonly Uint8Array[]): number {
  const attachment = attachmentOf(guard, "run under");
  const block = new Uint8Array(command.reduce((size, arg) => size + arg.length + 1, 0));
  let at = 0;
  for (const arg of command) {
    block.set(arg, at);
    at += arg.length + 1;
  }
  const result = library().qshm_run(attachment.handle("run under"), block, block.length, outcome);
  if (result < 0) {
    if (outcomeErrno() !== 0) throw new RunError(outcomeWhy(), outcomeErrno());
    throw outcomeError(result, "run a command under", "instance", attachment.key);
  }
  const status = library().qshm_await();
  if (status < 0) throw attachment.error(status, "wait for the command of");
  return status;
}

/** The running runtime, the platform, and the library that is in use. */
export function installation(): { readonly runtime: string; readonly platform: string; readonly library: string | undefined } {
  library();
  return { runtime: runtime().name, platform: runtime().platform(), library: loadedPath() };
}

/** Ends the process. */
export function exit(code: number): void {
  runtime().exit(code);
}

/** An environment variable, if it may be read. */
export function environment(name: string): string | undefined {
  return runtime().env(name);
}
