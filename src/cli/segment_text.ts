/**
 * What is known of a segment, in JSON and for people.
 *
 * @module
 */

import { inspect, PermissionDeniedError, type PlaceOptions, type ProcessInfo, type SegmentInfo, type SemaphoreInfo } from "../../mod.ts";
import { type Holder, holderOf } from "./holder.ts";
import { who } from "./text.ts";

const MOST_NAMED = 8;

/** The keys of a segment in JSON, for the help texts. */
export const RECORD_HELP = `{"kind", "key", "path", "size", "persistent", "state", "attached": [{"pid", "startedAt", "alive"}],
"lockOwner": {"pid", "startedAt", "alive"}, "revision", "waiting"}; for instances also "pending": how many messages wait for
the holder or are being handled, and "held"; for values "value":
{"revision", "size", "maxSize", "codec", "writer": {"pid", "startedAt", "alive"}}; for semaphores "semaphore":
{"available", "total", "max", "queued"}. What is unknown is null, and so are the owner of a lock that is free and the
writer of a value that was never set.`;

/** A segment in JSON. */
export function record(info: SegmentInfo, holder: Holder | undefined): object {
  const { kind, key, path, size, persistent, state, attached, lockOwner, revision, waiting, value, semaphore, instance } = info;
  return {
    kind,
    key,
    path,
    size,
    persistent,
    state,
    attached: attached.map(processRecord),
    lockOwner: optionalProcess(lockOwner),
    revision,
    waiting,
    ...(kind === "value" ? { value: value === undefined ? null : { ...value, writer: optionalProcess(value.writer) } } : {}),
    ...(kind === "semaphore" ? { semaphore: semaphore ?? null } : {}),
    ...(kind === "instance" ? { pending: instance?.pending ?? null } : {}),
    ...(holder === undefined ? {} : { held: holder.held ?? null }),
  };
}

/** A process in JSON. */
export function processRecord({ pid, startedAt, alive }: ProcessInfo): object {
  return { pid: pid ?? null, startedAt: startedAt ?? null, alive };
}

function optionalProcess(info: ProcessInfo | undefined): object | null {
  return info === undefined ? null : processRecord(info);
}

/** The holder of a segment that is an instance. A key that is known in part only names another one. */
export async function guardOf(info: SegmentInfo, place: PlaceOptions): Promise<Holder | undefined> {
  if (info.kind !== "instance") return undefined;
  if (isCut(info, place)) return { held: undefined, problem: "its whole name is not known" };
  try {
    return await holderOf(info.key, place);
  } catch (error) {
    if (!(error instanceof PermissionDeniedError)) throw error;
    return { held: undefined, problem: error.message };
  }
}

function isCut({ kind, key, path }: SegmentInfo, place: PlaceOptions): boolean {
  return key.endsWith("…") && inspect(kind, key, place)?.path !== path;
}

/** A segment's state, and whether it outlasts its users. */
export function stateOf({ state, persistent }: SegmentInfo): string {
  return persistent ? `${state}, persistent` : state;
}

/** How many are attached, and the first of them, in a table. */
export function attachedCell({ attached }: SegmentInfo, most: number): string {
  if (attached.length === 0) return "-";
  const pids = attached.slice(0, most).map(({ pid }) => pid ?? "?");
  return `${attached.length}: ${pids.join(", ")}${attached.length > most ? ", …" : ""}`;
}

/** Who has the lock, in a table. */
export function lockCell({ lockOwner }: SegmentInfo): string {
  if (lockOwner === undefined) return "-";
  return lockOwner.alive ? `${lockOwner.pid ?? "?"}` : "one that died";
}

/** Permits, in a sentence. */
export function permits({ available, total, queued }: SemaphoreInfo): string {
  return `${available} of ${total} free${queued === 0 ? "" : `, ${queued} waiting`}`;
}

/** Messages that wait for a guard's holder or are being handled, in a sentence; `undefined`: there are none. */
export function pending({ instance }: SegmentInfo): string | undefined {
  return instance === undefined || instance.pending === 0 ? undefined : `${instance.pending} pending`;
}

/** Those that are attached, in a sentence. */
export function users(attached: readonly ProcessInfo[]): string {
  const named = attached.slice(0, MOST_NAMED).map((info) => who(info)).join(", ");
  return attached.length > MOST_NAMED ? `${named}, and ${attached.length - MOST_NAMED} more` : named;
}
