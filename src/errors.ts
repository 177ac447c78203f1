/**
 * The errors that qshm throws. Misuse is a `TypeError` or `RangeError`, a time-out a `DOMException` named
 * `TimeoutError`, an abort the signal's reason; all else is a {@linkcode QshmError}.
 *
 * @module
 */

import { LoadError } from "../ffi/load.ts";
import { ERROR_TABLE, type ErrorRow } from "./error_table.ts";
import type { InstanceInfo } from "./single_instance/info.ts";

/** What a {@linkcode QshmError} knows beyond its message. */
export interface QshmErrorOptions extends ErrorOptions {
  /** A word that programs can compare, such as `"AlreadyExists"`: Qt's enumerator where one fits. */
  readonly code: string;
  /** What was tried, such as `"create"`. */
  readonly operation: string;
  /** The key it was tried on, or `""`. */
  readonly key: string;
  /** The system call that failed. */
  readonly syscall?: string | undefined;
  /** The system's error number. */
  readonly errno?: number | undefined;
  /** The process that is in the way. */
  readonly pid?: number | undefined;
}

/**
 * The base of all errors that are not misuse.
 *
 * @example Tell errors apart by class or by code
 * ```ts
 * import { QshmError, SharedMemory } from "qshm";
 *
 * try {
 *   SharedMemory.attach("errors-example");
 * } catch (error) {
 *   if (!(error instanceof QshmError)) throw error;
 *   console.assert(error.code === "NotFound");
 *   console.assert(error.operation === "attach" && error.key === "errors-example");
 * }
 * ```
 */
export class QshmError extends Error {
  /** The name of the class. */
  override readonly name: string = "QshmError";
  /** A word that programs can compare, such as `"AlreadyExists"`: Qt's enumerator where one fits. */
  readonly code: string;
  /** What was tried, such as `"create"`. */
  readonly operation: string;
  /** The key it was tried on, or `""`. */
  readonly key: string;
  /** The system call that failed, if one did. */
  readonly syscall: string | undefined;
  /** The system's error number, if a system call failed. */
  readonly errno: number | undefined;

  /** Errors are made by the library. */
  constructor(message: string, options: QshmErrorOptions) {
    super(message, options);
    this.code = options.code;
    this.operation = options.operation;
    this.key = options.key;
    this.syscall = options.syscall;
    this.errno = options.errno;
  }
}

/** The name is in use, or its contents are persistent. */
export class AlreadyExistsError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "AlreadyExistsError";
}

/** There is nothing of this name, or nobody who used it is alive. */
export class NotFoundError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "NotFoundError";
}

/** The segment exists with another size. */
export class SizeMismatchError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "SizeMismatchError";
}

/** The system refuses access, or the directory or file is not safe to use. */
export class PermissionDeniedError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "PermissionDeniedError";
}

/** The lock was taken away from its owner, or waiting for it could never end. */
export class LockError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "LockError";
}

/** Another process is in the way: it uses what was to be removed, or is stopped inside an internal lock. */
export class BusyError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "BusyError";
  /** That process, if it can be seen from here. */
  readonly pid: number | undefined;

  /** Errors are made by the library. */
  constructor(message: string, options: QshmErrorOptions) {
    super(message, options);
    this.pid = options.pid;
  }
}

/** Memory, space in the directory, or file descriptors are exhausted. */
export class OutOfResourcesError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "OutOfResourcesError";
}

/** The segment was made by another version, or is damaged, and must not be touched because it is in use or persistent. */
export class IncompatibleError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "IncompatibleError";
}

/** This operating system, processor, runtime or file system is not supported. */
export class UnsupportedPlatformError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "UnsupportedPlatformError";
}

/** The native library could not be loaded: the message lists every path tried and the remedy. */
export class LibraryError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "LibraryError";
}

/** Another process holds the guard. */
export class AlreadyRunningError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "AlreadyRunningError";
  /** Who holds it; `undefined` if that does not say so: it is about to release, or of another version of qshm. */
  readonly primary: InstanceInfo | undefined;
  /** Its pid, if it can be seen from here. */
  readonly pid: number | undefined;

  /** Errors are made by the library. */
  constructor(message: string, options: QshmErrorOptions & { readonly primary: InstanceInfo | undefined }) {
    super(message, options);
    this.primary = options.primary;
    this.pid = options.pid;
  }
}

/** Nobody holds the guard, or its holder does not take the message. */
export class NotRunningError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "NotRunningError";
  /**
   * Was the message handed over? `"no"`: surely not. `"unknown"`: its holder died, or left, while it handled it; how far
   * that came nobody can know.
   */
  readonly delivered: "no" | "unknown";

  /** Errors are made by the library. */
  constructor(message: string, options: QshmErrorOptions & { readonly delivered: "no" | "unknown" }) {
    super(message, options);
    this.delivered = options.delivered;
  }
}

/** The running instance handled the request, and its handler threw. */
export class RequestFailedError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "RequestFailedError";
  /** The name of the error that the handler threw. */
  readonly handlerName: string;
  /** Its message. */
  readonly handlerMessage: string;

  /** Errors are made by the library. */
  constructor(message: string, options: QshmErrorOptions & { readonly handlerName: string; readonly handlerMessage: string }) {
    super(message, options);
    this.handlerName = options.handlerName;
    this.handlerMessage = options.handlerMessage;
  }
}

/** What is to be told to another process is larger than there is room for. */
export class MessageTooLargeError extends QshmError {
  /** The name of the class. */
  override readonly name: string = "MessageTooLargeError";
}

const CLASSES: Readonly<Record<string, typeof QshmError>> = {
  AlreadyExists: AlreadyExistsError,
  NotFound: NotFoundError,
  InvalidSize: SizeMismatchError,
  PermissionDenied: PermissionDeniedError,
  LockError,
  Busy: BusyError,
  OutOfResources: OutOfResourcesError,
  Incompatible: IncompatibleError,
  Unsupported: UnsupportedPlatformError,
  MessageTooLarge: MessageTooLargeError,
};

/** What a failed call tells, in the words of the library's `struct qshm_outcome`. */
export interface Failure {
  readonly result: number;
  readonly operation: string;
  readonly key: string;
  /** What the operation is about, for the message, such as `shared memory "a"`. */
  readonly subject: string;
  readonly why?: string;
  readonly path?: string;
  readonly syscall?: string;
  readonly errno?: number;
  readonly pid?: number;
}

function reason(row: ErrorRow, why: string | undefined, syscall: string | undefined): string {
  if (!why) return row.sentence;
  if (syscall || row.about === undefined) return why;
  return { it: "it ", directory: "its directory ", file: "the file at its name " }[row.about] + why;
}

/** The error for a negative result of the library. */
export function errorOf(failure: Failure): Error {
  const { result, operation, key, subject, why, path, syscall, errno, pid } = failure;
  const row = ERROR_TABLE[result] ?? { name: "UNKNOWN", sentence: `the library reports ${result}`, code: "UnknownError" };
  const details = [
    ...(syscall ? [`${syscall}, errno ${errno}`] : []),
    ...(pid ? [`process ${pid}`] : []),
    ...(path ? [path] : []),
  ];
  const message = `Cannot ${operation} ${subject}: ${reason(row, why, syscall)}` +
    (details.length > 0 ? ` (${details.join("; ")})` : "") +
    (row.advice === undefined ? "" : `; ${row.advice}`);
  if (row.code === "InvalidArgument" || row.code === "NotAttached" || row.code === "KeyError") {
    return new TypeError(message);
  }
  const options = { code: row.code, operation, key, syscall: syscall || undefined, errno: errno || undefined, pid: pid || undefined };
  return new (CLASSES[row.code] ?? QshmError)(message, options);
}

/** Runs `load`, and turns a failure to load the library into the public error. */
export function withLibrary<T>(operation: string, key: string, load: () => T): T {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof LoadError)) throw error;
    const Class = error.unsupported ? UnsupportedPlatformError : LibraryError;
    const code = error.unsupported ? "Unsupported" : "LibraryNotLoaded";
    throw new Class(error.message, { code, operation, key, cause: error.cause });
  }
}

/** The exception for a wait whose time is up. */
export function timeoutError(what: string, ms: number): DOMException {
  return new DOMException(`Timed out after ${ms} ms waiting for ${what}`, "TimeoutError");
}
