/**
 * What the `qshm` command needs and programs do not: its arguments as the kernel has them, a child that keeps a guard's
 * name held, what it runs on, the changes of any segment and the bytes of any value, and the removal of what has no whole
 * name. Not part of the public API.
 *
 * @module
 */

import { loadedPath, native, runtime } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { Attachment } from "./attachment.ts";
import { changeFunctions } from "./bell.ts";
import { Changes } from "./change.ts";
import { withLibrary } from "./errors.ts";
import type { SegmentInfo } from "./inspect.ts";
import type { Kind } from "./kind.ts";
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
  const status = library().qshm_await(attachment.handle("run under"));
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

/** What can be watched: a guard does not change. */
export type Watchable = Exclude<Kind, "instance">;

/** Where a segment stands. */
export interface Stand {
  /** Counts its changes; of a value those that were set. */
  readonly revision: number;
  /** Of a semaphore: permits that are free. */
  readonly available: number | undefined;
  /** Was its file removed from outside? Then nobody who changes it can be seen any more, but those who are attached. */
  readonly isRemoved: boolean;
}

/** A value as it is there. */
export interface Bytes {
  /** Counts the values that were set; 0: none yet. */
  readonly revision: number;
  readonly size: number;
  /** `undefined`: more than were asked for. */
  readonly bytes: Uint8Array | undefined;
}

/** `struct qshm_value`, which stands before the bytes. */
const VALUE_HEADER = 16;

let kindFunctions: (Group<"value"> & Group<"semaphore"> & Group<"instance">) | undefined;

/** The functions for what kinds have of their own. */
function ofKinds(): Group<"value"> & Group<"semaphore"> & Group<"instance"> {
  return kindFunctions ??= { ...native("value"), ...native("semaphore"), ...native("instance") };
}

/** An attachment to a segment of any kind, whatever codec it has. It changes nothing. */
export class Watched implements Disposable {
  readonly #attachment: Attachment;
  readonly #changes: Changes;
  #lastSize = 0;

  /**
   * Attaches to what somebody uses, or what persists.
   *
   * @throws {NotFoundError} There is none.
   */
  constructor(kind: Watchable, key: string, { directory }: PlaceOptions) {
    const readOnly = kind !== "semaphore"; // which can only be looked into by those who may take permits
    const request = { kind, operation: "attach", purpose: "watch", key, size: 0, directory, readOnly } as const;
    this.#attachment = new Attachment(kind === "value" ? { ...request, open: openAnyValue } : request);
    this.#changes = new Changes(this.#attachment);
  }

  /** Where it stands now. */
  stand(): Stand {
    const handle = this.#attachment.handle("watch");
    const { kind } = this.#attachment;
    return {
      revision: this.#check(kind === "value"
        ? ofKinds().qshm_value_sequence(handle)
        : changeFunctions().qshm_revision(handle)),
      available: kind === "semaphore" ? this.#check(ofKinds().qshm_available(handle)) : undefined,
      isRemoved: ofKinds().qshm_is_lost(handle) === 1,
    };
  }

  /** Permits that a semaphore may have. */
  get permitsMax(): number {
    return this.#check(ofKinds().qshm_permits_max(this.#attachment.handle("watch")));
  }

  /** Reads a value, of at most so many bytes. */
  value(most: number): Bytes {
    const handle = this.#attachment.handle("read");
    for (;;) {
      const buffer = new Uint8Array(VALUE_HEADER + Math.min(this.#lastSize, most));
      const needed = this.#check(ofKinds().qshm_value_get(handle, buffer, buffer.length));
      const size = needed - VALUE_HEADER;
      this.#lastSize = size;
      if (needed > buffer.length && size <= most) continue;
      const revision = new DataView(buffer.buffer).getFloat64(0, true);
      return { revision, size, bytes: size > most ? undefined : buffer.subarray(VALUE_HEADER, needed) };
    }
  }

  /**
   * Waits until it stands elsewhere. A bell tells of what is announced; what is not (permits taken that were free, a holder
   * that died, the file removed) is seen within half a second.
   */
  async moved(since: Stand, signal: AbortSignal): Promise<Stand> {
    const look = (): Stand | undefined => {
      const now = this.stand();
      const isSame = now.revision === since.revision && now.available === since.available &&
        now.isRemoved === since.isRemoved;
      return isSame ? undefined : now;
    };
    return await this.#changes.wait(look, { timeout: Infinity, signal, ref: true });
  }

  /** Detaches. */
  [Symbol.dispose](): void {
    this.#changes.close();
    this.#attachment.detach();
  }

  #check(result: number): number {
    if (result < 0) throw this.#attachment.error(result, "watch");
    return result;
  }
}

function openAnyValue(how: number, mode: number, key: Uint8Array, directory: Uint8Array): number {
  const none = new Uint8Array(0);
  return ofKinds().qshm_open_value(how, mode, 0, key, key.length, directory, directory.length, none, none.length, outcome);
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
