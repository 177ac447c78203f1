/**
 * What the holder of a guard says of itself to whoever asks, and asking.
 *
 * @module
 */

import { native, runtime } from "../../ffi/load.ts";
import type { Group } from "../../ffi/native.ts";
import { IncompatibleError, MessageTooLargeError, withLibrary } from "../errors.ts";
import { outcome, outcomeError, outcomePid } from "../outcome.ts";
import type { ProcessInfo } from "../process_info.ts";
import { describe } from "../validate.ts";
import { decodePayload, encodePayload, type Payload } from "./payload.ts";

/** The process that holds a guard, as it presents itself. */
export interface InstanceInfo extends ProcessInfo {
  /** Its program's arguments. Those that did not fit are replaced by one `"…"` at the end. */
  readonly args: readonly string[];
  /** Its working directory when it acquired the guard; `""` if that had no name any more. */
  readonly cwd: string;
  /** Its `data` option. */
  readonly data: Payload | undefined;
}

/** Who holds a guard. */
export interface Holder {
  /** What it says; `undefined` if it is leaving, or cannot be understood. */
  readonly info: InstanceInfo | undefined;
  /** Why it cannot be understood. */
  readonly incompatible?: IncompatibleError;
  /** The pid, also of one that does not say; `undefined` where it cannot be seen. */
  readonly pid: number | undefined;
  /** Which attachment it is; 0: it does not say. */
  readonly id: number;
}

/** Bytes for arguments and data together. */
const CAPACITY = 61376;
/** What takes the place of arguments that are cut. */
const CUT = "…";
/** The least that is said of arguments that do not fit. */
const NONE_KEPT: Uint8Array = new TextEncoder().encode(JSON.stringify([CUT]));
/** Bytes of the number in front of the arguments. */
const LENGTH_SIZE = 4;
/** `struct qshm_primary`, and the room for what follows it. */
const PRIMARY = { id: 0, pid: 4, started: 16, cwdSize: 32, bodySize: 36, end: 40, capacity: 65536 };
const NOBODY = 0;
const SAYS_WHO = 1;

let functions: Group<"instance"> | undefined;

/** The guard's group of entry points. */
export function guards(): Group<"instance"> {
  return functions ??= native("instance");
}

/** Checks an `args` option; default: this program's own. */
export function checkArgs(args: unknown): readonly string[] {
  if (args === undefined) return runtime().args();
  if (!Array.isArray(args)) throw new TypeError(`Args must be an array: got ${describe(args)}`);
  return Array.from(args, (arg: unknown, i) => { // a copy, without holes and methods of its own
    if (typeof arg !== "string") throw new TypeError(`Args[${i}] must be a string: got ${describe(arg)}`);
    return arg;
  });
}

/**
 * Encodes what a holder is to say: the arguments as JSON behind their length, then the data. Data that does not fit is
 * an error, arguments are cut.
 */
export function encodeInfo(name: string, args: readonly string[], data: Payload | undefined): Uint8Array {
  const encodedData = encodePayload("Data", data);
  const room = CAPACITY - LENGTH_SIZE - encodedData.length;
  if (room < NONE_KEPT.length) {
    throw new MessageTooLargeError(
      `Cannot acquire instance ${JSON.stringify(name)}: its data takes ${encodedData.length - 1} bytes, ` +
        `at most ${CAPACITY - LENGTH_SIZE - NONE_KEPT.length - 1} fit; put it into a SharedMemory or a file, and its name here`,
      { code: "MessageTooLarge", operation: "acquire", key: name },
    );
  }
  const encodedArgs = encodeArgs(args, room);
  const body = new Uint8Array(LENGTH_SIZE + encodedArgs.length + encodedData.length);
  new DataView(body.buffer).setUint32(0, encodedArgs.length, true);
  body.set(encodedArgs, LENGTH_SIZE);
  body.set(encodedData, LENGTH_SIZE + encodedArgs.length);
  return body;
}

/** As many whole arguments as fit, with a mark where some are missing. */
function encodeArgs(args: readonly string[], room: number): Uint8Array {
  const encoder = new TextEncoder();
  const whole = encoder.encode(JSON.stringify(args));
  if (whole.length <= room) return whole;
  let used = NONE_KEPT.length;
  let kept = 0;
  for (const arg of args) {
    used += encoder.encode(JSON.stringify(arg)).length + 1;
    if (used > room) break;
    kept++;
  }
  return encoder.encode(JSON.stringify([...args.slice(0, kept), CUT]));
}

/** Asks who holds a guard; `undefined`: nobody. Changes nothing. */
export function findHolder(operation: string, name: string, key: Uint8Array, directory: Uint8Array): Holder | undefined {
  const bytes = new Uint8Array(PRIMARY.capacity);
  const { qshm_primary } = withLibrary(operation, name, guards);
  const result = qshm_primary(key, key.length, directory, directory.length, bytes, bytes.length, outcome);
  if (result < 0) {
    const error = outcomeError(result, operation, "instance", name);
    if (!(error instanceof IncompatibleError)) throw error;
    return { id: 0, pid: outcomePid() || undefined, info: undefined, incompatible: error };
  }
  if (result === NOBODY) return undefined;
  const fields = new DataView(bytes.buffer);
  const pid = fields.getUint32(PRIMARY.pid, true) || undefined;
  return { id: fields.getUint32(PRIMARY.id, true), pid, info: result === SAYS_WHO ? decodeInfo(bytes, fields, pid) : undefined };
}

/** `undefined` for what no holder of this version can have written. */
function decodeInfo(bytes: Uint8Array, fields: DataView, pid: number | undefined): InstanceInfo | undefined {
  const started = fields.getFloat64(PRIMARY.started, true);
  const bodyAt = PRIMARY.end + fields.getUint32(PRIMARY.cwdSize, true);
  const body = bytes.subarray(bodyAt, bodyAt + fields.getUint32(PRIMARY.bodySize, true));
  try {
    const dataAt = LENGTH_SIZE + new DataView(body.buffer, body.byteOffset, body.length).getUint32(0, true);
    const args: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body.subarray(LENGTH_SIZE, dataAt)));
    return Object.freeze({
      pid,
      startedAt: started === 0 ? undefined : new Date(started),
      alive: true,
      args: Object.freeze([...checkArgs(args ?? null)]),
      cwd: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(PRIMARY.end, bodyAt)),
      data: decodePayload(body.subarray(dataAt)),
    });
  } catch {
    return undefined;
  }
}
