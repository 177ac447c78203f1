/**
 * What exists, who uses it, and its removal. Listing and inspecting change nothing.
 *
 * @module
 */

import { native } from "../ffi/load.ts";
import type { Group } from "../ffi/native.ts";
import { NotFoundError, QshmError, withLibrary } from "./errors.ts";
import { checkKind, type Kind, KIND_NUMBERS } from "./kind.ts";
import { outcome, outcomeError, outcomePath } from "./outcome.ts";
import { type ProcessInfo, processInfo } from "./process_info.ts";
import type { PlaceOptions } from "./life.ts";
import { checkBoolean, checkOptions, encodeDirectory, encodeKey } from "./validate.ts";

/** What is known of a segment without attaching to it. */
export interface SegmentInfo {
  /** What it is. */
  readonly kind: Kind;
  /** The key. One over 2,048 bytes is cut and ends in `…`; one that cannot be read is what the file name tells. */
  readonly key: string;
  /** The path of its file. */
  readonly path: string;
  /** Bytes of the payload; 0 where that cannot be told. */
  readonly size: number;
  /** Is it kept when nobody is attached? */
  readonly persistent: boolean;
  /**
   * `live`: somebody is attached. `dead`: nobody is; the next create or attach reclaims it, unless it is persistent.
   * `foreign`: made by another version, or no segment at all. `corrupt`: its control block is damaged.
   */
  readonly state: "live" | "dead" | "foreign" | "corrupt";
  /** Who is attached, one entry an attachment, at most 2,048. */
  readonly attached: readonly ProcessInfo[];
  /** Who holds the lock, if anybody. */
  readonly lockOwner: ProcessInfo | undefined;
  /** Counts the changes: 0 to 2^31-1, then it wraps. */
  readonly revision: number;
  /** How many attachments wait for something in an event loop. */
  readonly waiting: number;
  /** Of a value: what it holds. */
  readonly value: ValueInfo | undefined;
  /** Of a semaphore: its permits. */
  readonly semaphore: SemaphoreInfo | undefined;
  /** Of an instance: its guard. */
  readonly instance: InstanceState | undefined;
}

/** What is known of a value. */
export interface ValueInfo {
  /** Counts the values that were set; 0: none yet. */
  readonly revision: number;
  /** Bytes of the present one, as its codec made them. */
  readonly size: number;
  /** Bytes that one may have. */
  readonly maxSize: number;
  /** The name of its codec. */
  readonly codec: string;
  /** Who set it last; `undefined`: nobody did. */
  readonly writer: ProcessInfo | undefined;
}

/** What is known of a semaphore. */
export interface SemaphoreInfo {
  /** Permits that are free. */
  readonly available: number;
  /** Permits that there are, those that are held included. */
  readonly total: number;
  /** Permits that there may be. */
  readonly max: number;
  /** How many attachments wait for permits. */
  readonly queued: number;
}

/** What is known of a guard without asking its holder. */
export interface InstanceState {
  /** Does somebody hold it? */
  readonly held: boolean;
  /** How many messages wait for its holder, or are being handled. */
  readonly pending: number;
}

let functions: Group<"inspect"> | undefined;

function library(): Group<"inspect"> {
  return functions ??= native("inspect");
}

const STATES = { 1: "live", 2: "dead", 3: "foreign", 4: "corrupt" } as const;
const KINDS_BY_LETTER = { m: "memory", v: "value", s: "semaphore", i: "instance" } as const;
const KINDS = { 1: "memory", 2: "value", 3: "semaphore", 4: "instance" } as const;
/** Offsets of `struct qshm_info`; the ids of the attached follow it. */
const INFO = {
  kind: 0,
  state: 4,
  persistent: 12,
  size: 16,
  inode: 24,
  device: 32,
  owner: 40,
  held: 44,
  attached: 48,
  keySize: 52,
  keyIsCut: 56,
  segment: 64,
  revision: 72,
  waiting: 76,
  sequence: 80,
  valueSize: 88,
  largest: 96,
  writer: 104,
  available: 108,
  total: 112,
  max: 116,
  queued: 120,
  codec: 128,
  key: 192,
  end: 2240,
};
const HOLDER_SIZE = 24;

/** A byte order mark is part of a key like any other character. */
const text = new TextDecoder("utf-8", { ignoreBOM: true });

/** A holder of an id: `struct qshm_holder`. */
type Holders = ReadonlyMap<string, { readonly pid: number; readonly started: number }>;

/**
 * Lists all segments of a directory.
 *
 * @param options Which directory.
 * @returns What exists, by kind and key; empty if nothing was ever made there.
 * @throws {PermissionDeniedError} The directory is not safe to use.
 *
 * @example Usage
 * ```ts
 * import { list, SharedMemory } from "qshm";
 *
 * using _memory = SharedMemory.create("list-example", 1);
 * console.assert(list().some(({ kind, key }) => kind === "memory" && key === "list-example"));
 * ```
 */
export function list(options?: PlaceOptions): SegmentInfo[] {
  const directory = encodeDirectory(checkOptions(options, ["directory"]).directory);
  const { qshm_list } = withLibrary("list", "", library);
  const names = collect(4096, "list", "memory", "", (buffer) =>
    qshm_list(directory, directory.length, buffer, buffer.length, outcome));
  const devices = new Map<number, Holders>();
  return text.decode(names).split("\0").filter((name) => name !== "")
    .map((name) => inspectListed(name, directory, devices))
    .filter((info) => info !== undefined)
    .sort((a, b) => compare(a.kind, b.kind) || compare(a.key, b.key));
}

/** One odd file (a link, a stranger's) must not hide all others: it is listed as foreign. */
function inspectListed(name: string, directory: Uint8Array, devices: Map<number, Holders>): SegmentInfo | undefined {
  const bytes = new TextEncoder().encode(name);
  const kind = KINDS_BY_LETTER[name[0] as keyof typeof KINDS_BY_LETTER];
  try {
    return inspectFile(bytes, directory, devices, kind, name);
  } catch (error) {
    if (!(error instanceof QshmError)) throw error;
    return {
      kind,
      key: keyOfName(bytes),
      path: outcomePath(),
      size: 0,
      persistent: false,
      state: "foreign",
      attached: [],
      lockOwner: undefined,
      revision: 0,
      waiting: 0,
      value: undefined,
      semaphore: undefined,
      instance: undefined,
    };
  }
}

/**
 * Looks at one segment without attaching to it.
 *
 * @param kind What it is.
 * @param key Its key.
 * @param options Which directory.
 * @returns What is known, or `undefined` if there is none.
 * @throws {PermissionDeniedError} The directory, or what stands at the name, is not safe to use.
 *
 * @example Usage
 * ```ts
 * import { inspect, SharedMemory } from "qshm";
 *
 * using _memory = SharedMemory.create("inspect-example", 100);
 * const info = inspect("memory", "inspect-example");
 * console.assert(info?.state === "live" && info.size === 100);
 * console.assert(info?.attached[0]?.pid === process.pid);
 * ```
 */
export function inspect(kind: Kind, key: string, options?: PlaceOptions): SegmentInfo | undefined {
  const directory = encodeDirectory(checkOptions(options, ["directory"]).directory);
  const name = fileName(checkKind(kind), key, "inspect");
  return inspectFile(name, directory, new Map(), kind, key);
}

/**
 * Removes a segment's file. Those attached keep what they have, but nobody can join them.
 *
 * @param kind What it is.
 * @param key Its key.
 * @param options Which directory; `force`: also if it is in use, except a guard that is held.
 * @returns Was there one?
 * @throws {BusyError} It is in use, and named by whom.
 *
 * @example Usage
 * ```ts
 * import { remove, SharedMemory } from "qshm";
 *
 * SharedMemory.open("remove-example", 1, { persistent: true }).detach();
 * console.assert(remove("memory", "remove-example") === true);
 * console.assert(remove("memory", "remove-example") === false);
 * ```
 */
export function remove(kind: Kind, key: string, options?: PlaceOptions & { force?: boolean }): boolean {
  const { directory, force } = checkOptions(options, ["directory", "force"]);
  const place = encodeDirectory(directory);
  const forced = checkBoolean("Force", force, false);
  const name = fileName(checkKind(kind), key, "remove");
  const result = library().qshm_remove(name, name.length, place, place.length, forced ? 1 : 0, outcome);
  if (result < 0) throw outcomeError(result, "remove", kind, key);
  return result === 1;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function fileName(kind: Kind, key: string, operation: string): Uint8Array {
  const bytes = encodeKey(key);
  const name = new Uint8Array(192);
  const length = withLibrary(operation, key, library)
    .qshm_file_name(KIND_NUMBERS[kind], bytes, bytes.length, name);
  return name.subarray(0, length);
}

/** Calls until the buffer is large enough, and gives the bytes that were filled in. */
function collect(size: number, operation: string, kind: Kind, key: string, call: (buffer: Uint8Array) => number): Uint8Array {
  for (let buffer = new Uint8Array(size);;) {
    const needed = call(buffer);
    if (needed < 0) throw outcomeError(needed, operation, kind, key);
    if (needed <= buffer.length) return buffer.subarray(0, needed);
    buffer = new Uint8Array(needed * 2); // twice: others may be attaching meanwhile
  }
}

function inspectFile(
  name: Uint8Array,
  directory: Uint8Array,
  devices: Map<number, Holders>,
  kind: Kind,
  key: string,
): SegmentInfo | undefined {
  const { qshm_inspect } = library();
  let bytes: Uint8Array;
  try {
    bytes = collect(8192, "inspect", kind, key, (buffer) =>
      qshm_inspect(name, name.length, directory, directory.length, buffer, buffer.length, outcome));
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
  const path = outcomePath();
  const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const number = (offset: number): number => fields.getUint32(offset, true);
  const inode = fields.getFloat64(INFO.inode, true);
  const device = fields.getFloat64(INFO.device, true);
  const living = Array.from({ length: number(INFO.attached) }, (_, i) => number(INFO.end + 4 * i));
  const owner = number(INFO.owner);
  const segment = fields.getBigUint64(INFO.segment, true);

  let holders: Holders = new Map();
  if (living.length > 0) {
    holders = devices.get(device) ?? findHolders(device);
    devices.set(device, holders);
  }
  const processOf = (id: number): ProcessInfo => {
    const holder = holders.get(`${inode}:${id}`);
    return processInfo({ id, segment }, holder?.pid ?? 0, holder?.started ?? 0, living.includes(id));
  };
  const kindThere = KINDS[number(INFO.kind) as keyof typeof KINDS];
  const state = STATES[number(INFO.state) as keyof typeof STATES];
  const isSound = state === "live" || state === "dead";
  const sequence = fields.getFloat64(INFO.sequence, true);
  return {
    kind: kindThere,
    key: number(INFO.keySize) === 0
      ? keyOfName(name)
      : text.decode(bytes.subarray(INFO.key, INFO.key + number(INFO.keySize))) + (number(INFO.keyIsCut) ? "…" : ""),
    path,
    size: fields.getFloat64(INFO.size, true),
    persistent: number(INFO.persistent) !== 0,
    state,
    attached: living.map(processOf),
    lockOwner: owner === 0 ? undefined : processOf(owner),
    revision: number(INFO.revision),
    waiting: number(INFO.waiting),
    value: kindThere !== "value" || !isSound ? undefined : {
      revision: sequence,
      size: fields.getFloat64(INFO.valueSize, true),
      maxSize: fields.getFloat64(INFO.largest, true),
      codec: text.decode(bytes.subarray(INFO.codec, bytes.indexOf(0, INFO.codec))),
      writer: sequence === 0 ? undefined : processOf(number(INFO.writer)),
    },
    semaphore: kindThere !== "semaphore" || !isSound ? undefined : {
      available: number(INFO.available),
      total: number(INFO.total),
      max: number(INFO.max),
      queued: number(INFO.queued),
    },
    instance: kindThere !== "instance" || !isSound ? undefined : {
      held: number(INFO.held) !== 0,
      pending: number(INFO.queued),
    },
  };
}

/** The key, as far as the file name tells it. */
function keyOfName(name: Uint8Array): string {
  const encoded = text.decode(name.subarray(2)).replace(/~[0-9a-f]{64}$/, "…");
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

function findHolders(device: number): Holders {
  const { qshm_holders } = library();
  const bytes = collect(4096, "list", "memory", "", (buffer) => qshm_holders(device, buffer, buffer.length));
  const fields = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const holders = new Map<string, { pid: number; started: number }>();
  for (let at = 0; at < bytes.length; at += HOLDER_SIZE) {
    holders.set(`${fields.getFloat64(at, true)}:${fields.getUint32(at + 8, true)}`, {
      pid: fields.getUint32(at + 12, true),
      started: fields.getFloat64(at + 16, true),
    });
  }
  return holders;
}
