/**
 * Qt's shared memory and its wire format, as a peer of C++ Qt programs: the same segments, locks and semaphores by the same keys.
 *
 * @example A counter that C++ Qt programs count on, too
 * ```ts
 * import { QSharedMemory } from "qshm/qt";
 *
 * using memory = new QSharedMemory("qt-module-example");
 * if (memory.create(4) || memory.attach()) {
 *   memory.lock();
 *   const counter = new Uint32Array(memory.data()!.buffer, 0, 1);
 *   counter[0]! += 1;
 *   memory.unlock();
 *   console.assert(counter[0] === 1);
 * }
 * ```
 *
 * @module
 */

export * from "../data_stream/mod.ts";
export type { DataChangedOptions } from "./data_changed.ts";
export { QSharedMemory } from "./shared_memory.ts";
export type { ListenerOptions, RemoveOptions } from "./shared_memory.ts";
export { QSystemSemaphore } from "./system_semaphore.ts";
export type { WaitOptions } from "../wait.ts";
