/**
 * The running instance, as another process sees it.
 *
 * @module
 */

import type { InstanceInfo } from "./info.ts";

/** Makes a {@linkcode RunningInstance}; only `SingleInstance.connect` does. */
export let runningInstance: (info: InstanceInfo) => RunningInstance;

/**
 * Another process that holds a guard. Made by `SingleInstance.connect`.
 *
 * @example Who runs?
 * ```ts
 * import { SingleInstance } from "qshm";
 *
 * using _guard = await SingleInstance.acquire("running-example", { args: ["serve"] });
 * using running = await SingleInstance.connect("running-example");
 * console.assert(running.info.pid === process.pid && running.info.args[0] === "serve");
 * ```
 */
export class RunningInstance implements Disposable {
  /** What it says of itself; as it was when the connection was made. */
  readonly info: InstanceInfo;

  static {
    runningInstance = (info: InstanceInfo): RunningInstance => new RunningInstance(info);
  }

  private constructor(info: InstanceInfo) {
    this.info = info;
  }

  /** Ends the connection. */
  close(): void {}

  /** Ends the connection. */
  [Symbol.dispose](): void {
    this.close();
  }
}
