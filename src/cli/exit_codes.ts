/**
 * How the command ends: the numbers of `sysexits.h` where one fits, and those that shells use for commands.
 *
 * @module
 */

import {
  AlreadyRunningError,
  BusyError,
  MessageTooLargeError,
  NotFoundError,
  NotRunningError,
  PermissionDeniedError,
  QshmError,
  RequestFailedError,
} from "../../mod.ts";

/** Exit codes by what they mean. */
export const EXIT = {
  ok: 0,
  /** `status`: nobody holds it; `doctor`: something is broken. */
  no: 1,
  /** The handler of the one that was asked threw: as a program ends that throws. */
  failed: 1,
  usage: 64,
  tooLarge: 65,
  notRunning: 69,
  internal: 70,
  /** Another one holds it, or time is up: later it may go. */
  busy: 75,
  permission: 77,
  notRunnable: 126,
  notFound: 127,
} as const;

/** A mistake in how the command was called. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The exit code of an error; `undefined` for one that nobody foresaw. */
export function exitCodeOf(error: unknown): number | undefined {
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof AlreadyRunningError || error instanceof BusyError) return EXIT.busy;
  if (error instanceof NotRunningError || error instanceof NotFoundError) return EXIT.notRunning;
  if (error instanceof DOMException && error.name === "TimeoutError") return EXIT.busy;
  if (error instanceof RequestFailedError) return EXIT.failed;
  if (error instanceof MessageTooLargeError) return EXIT.tooLarge;
  if (error instanceof PermissionDeniedError) return EXIT.permission;
  if (error instanceof QshmError) return EXIT.internal;
  // The API's word for a bad name, number or directory: here they come from the command line.
  if (error instanceof TypeError || error instanceof RangeError) return EXIT.usage;
  return undefined;
}
