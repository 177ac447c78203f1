/**
 * `qshm run --forward`: to hold a name, or to hand the work to the one that does.
 *
 * @module
 */

import {
  AlreadyRunningError,
  type GuardOptions,
  type InstanceReply,
  NotRunningError,
  type PlaceOptions,
  SingleInstance,
} from "../../mod.ts";
import { ask } from "./request.ts";

/** ms between two tries while the holder is leaving. */
const PAUSE = 20;
/** ms that one may take to leave; who then still refuses takes no messages at all, as a `qshm run` does not. */
const LEAVING = 250;

/**
 * Holds the name, or forwards the arguments and gives the reply; if the holder is just leaving, holds it after that.
 *
 * @throws {AlreadyRunningError} It is held by one that takes no messages.
 */
export async function holdOrForward(
  name: string,
  place: PlaceOptions,
  guard: GuardOptions & { readonly args: readonly string[] },
  timeout: number,
): Promise<SingleInstance | InstanceReply> {
  const deadline = performance.now() + timeout;
  let refusing: number | undefined; // since when (ms)
  for (;;) {
    const held = await hold(name, { ...place, ...guard }, refusing === undefined ? 0 : PAUSE);
    if (held instanceof SingleInstance) return held;
    if (refusing !== undefined && performance.now() - refusing > LEAVING) throw held;
    try {
      const left = Math.max(deadline - performance.now(), 0);
      return await ask(name, place, (running) => running.forward({ args: guard.args, timeout: left }));
    } catch (error) {
      if (!(error instanceof NotRunningError && error.delivered === "no")) throw error;
      refusing ??= performance.now();
    }
  }
}

async function hold(name: string, guard: GuardOptions, timeout: number): Promise<SingleInstance | AlreadyRunningError> {
  try {
    return await SingleInstance.acquire(name, { ...guard, timeout });
  } catch (error) {
    if (error instanceof AlreadyRunningError) return error;
    throw error;
  }
}
