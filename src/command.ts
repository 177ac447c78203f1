/**
 * What the `qshm` command needs and programs do not: its arguments as the kernel has them, a child that keeps a guard's
 * name held, what it runs on, and the removal of what has no whole name. Not part of the public API.
 *
 * @module
 */

import { loadedPath, native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { withLibrary } from "./errors.ts";
import type { SegmentInfo } from "./inspect.ts";
import { outcome, outcomeErrno, outcomeError, outcomeFlags, outcomeWhy, WITH_RUNTIME } from "./outcome.ts";
import type { PlaceOptions } from "./life.ts";
import { attachmentOf, type SingleInstance } from "./single_instance/single_instance.ts";
import { encodeDirectory } from "./validate.ts";

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

/** The running runtime, and the platform; they need no library. */
export function host(): { readonly runtime: string; readonly platform: string } {
  return { runtime: runtime().name, platform: runtime().platform() };
}

/** The library that is in use. */
export function loadedLibrary(): { readonly path: string; readonly interfaceVersion: number } {
  const { qshm_abi_version } = withLibrary("load", "", () => native("base"));
  return { path: loadedPath()!, interfaceVersion: qshm_abi_version() };
}

/**
 * Removes the file of a listed segment. Unlike `remove` it can do so where the key is known in part only.
 *
 * @param info As `list` gave it.
 * @param options Which directory; `force`: also if it is in use, except a guard that is held.
 * @returns Was it still there?
 * @throws {BusyError} It is in use.
 */
export function removeFile({ kind, key, path }: SegmentInfo, options: PlaceOptions & { force: boolean }): boolean {
  const name = new TextEncoder().encode(path.slice(path.lastIndexOf("/") + 1));
  const directory = encodeDirectory(options.directory);
  const { qshm_remove } = withLibrary("remove", key, () => native("inspect"));
  const result = qshm_remove(name, name.length, directory, directory.length, options.force ? 1 : 0, outcome);
  if (result < 0) throw outcomeError(result, "remove", kind, key);
  return result === 1;
}

/** Ends the process without the runtime's own end, which would undo what a program did to the terminal's settings. */
export function exitAtOnce(code: number): void {
  library().qshm_exit(code);
}

/** Ends the process. */
export function exit(code: number): void {
  runtime().exit(code);
}

/** An environment variable, if it may be read. */
export function environment(name: string): string | undefined {
  return runtime().env(name);
}
