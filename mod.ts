/**
 * A single-instance guard and named shared memory for Deno, Bun and Node, with nothing to clean up by hand after a crash.
 *
 * @example Exactly one process runs past this line
 * ```ts
 * import { SingleInstance } from "qshm";
 *
 * using guard = await SingleInstance.acquire("my-tool"); // throws AlreadyRunningError in the second process
 * if (guard.recovered) console.warn("the last run crashed");
 * ```
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
  AlreadyRunningError,
  BusyError,
  IncompatibleError,
  LibraryError,
  LockError,
  MessageTooLargeError,
  NotFoundError,
  NotRunningError,
  OutOfResourcesError,
  PermissionDeniedError,
  QshmError,
  RequestFailedError,
  SizeMismatchError,
  UnsupportedPlatformError,
} from "./src/errors.ts";
export type { QshmErrorOptions } from "./src/errors.ts";
export type { ChangesOptions } from "./src/changes.ts";
export { bytes, json, utf8 } from "./src/codec.ts";
export type { Codec } from "./src/codec.ts";
export { inspect, list, remove } from "./src/inspect.ts";
export type { InstanceState, SegmentInfo, SemaphoreInfo, ValueInfo } from "./src/inspect.ts";
export type { Kind } from "./src/kind.ts";
export type { LifeOptions, PlaceOptions } from "./src/life.ts";
export type { Lock } from "./src/lock.ts";
export type { ProcessInfo } from "./src/process_info.ts";
export { SharedValue } from "./src/shared_value.ts";
export type { AttachValueOptions, ValueOptions } from "./src/shared_value.ts";
export { SystemSemaphore } from "./src/system_semaphore.ts";
export type { Permit, SemaphoreOptions } from "./src/system_semaphore.ts";
export { SharedMemory } from "./src/shared_memory.ts";
export type { AttachOptions } from "./src/shared_memory.ts";
export type { InstanceInfo } from "./src/single_instance/info.ts";
export type { InstanceReply } from "./src/single_instance/message.ts";
export type { Json, Payload } from "./src/single_instance/payload.ts";
export { runSingleInstance } from "./src/single_instance/run_single_instance.ts";
export type { RunOptions } from "./src/single_instance/run_single_instance.ts";
export { RunningInstance } from "./src/single_instance/running_instance.ts";
export type { ForwardOptions } from "./src/single_instance/running_instance.ts";
export type { InstanceRequest, RequestHandler } from "./src/single_instance/serving.ts";
export { SingleInstance } from "./src/single_instance/single_instance.ts";
export type { AcquireOptions, GuardOptions } from "./src/single_instance/single_instance.ts";
export type { ReplaceOptions } from "./src/single_instance/takeover.ts";
export type { SyncWaitOptions, WaitOptions } from "./src/wait.ts";
