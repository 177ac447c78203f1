/**
 * Named shared memory for Deno, Bun and Node, with a lock that survives `kill -9` and nothing to clean up by hand.
 *
 * @example Two programs share bytes under a lock
 * ```ts
 * import { SharedMemory } from "qshm";
 *
 * using memory = SharedMemory.open("my-counter", 8); // attach, or create
 * {
 *   using lock = await memory.lock();
 *   if (lock.ownerDied) memory.write(new Uint8Array(8)); // somebody died in here: repair
 *   const [count] = memory.read(0, 1);
 *   memory.write(Uint8Array.of(count! + 1));
 * }
 * console.assert(memory.read(0, 1)[0]! >= 1);
 * ```
 *
 * @module
 */

export {
  AlreadyExistsError,
  BusyError,
  IncompatibleError,
  LibraryError,
  LockError,
  NotFoundError,
  OutOfResourcesError,
  PermissionDeniedError,
  QshmError,
  SizeMismatchError,
  UnsupportedPlatformError,
} from "./src/errors.ts";
export type { QshmErrorOptions } from "./src/errors.ts";
export { inspect, list, remove } from "./src/inspect.ts";
export type { SegmentInfo } from "./src/inspect.ts";
export type { Kind } from "./src/kind.ts";
export type { Lock } from "./src/lock.ts";
export type { ProcessInfo } from "./src/process_info.ts";
export { SharedMemory } from "./src/shared_memory.ts";
export type { AttachOptions, LifeOptions, PlaceOptions } from "./src/shared_memory.ts";
export type { SyncWaitOptions, WaitOptions } from "./src/wait.ts";
