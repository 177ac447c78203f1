/** What readers and publishers do in the tests of changes; loaded by peers of any runtime. */

import { arm, steps } from "../../support/faults.ts";
import { holdTimers } from "../../support/held_timers.ts";
import type { Api, State } from "../../support/peer.ts";

/** ms after which a test gives up. */
const WATCHDOG = 60_000;

/** What is done at a step, and at which one. */
export interface Fault {
  readonly step: number;
  readonly action: "count" | "stop" | "kill" | "fail";
}

/** Attaches. `held`: from here on nothing but bells wakes this process. */
export function attach({ SharedMemory }: Api, state: State, { key, held }: { key: string; held: boolean }): void {
  if (held) holdTimers();
  state.memory = SharedMemory.open(key, 64);
}

/** Waits for change after change, until it is told to stop. */
export function watch(_api: Api, state: State): void {
  const { memory } = state;
  const stop = new AbortController();
  state.stop = stop;
  state.seen = memory.revision;
  (async () => {
    for (;;) state.seen = await memory.waitForChange(state.seen, { signal: stop.signal });
  })().catch((error) => stop.signal.aborted || (state.problem = error));
}

/** Ends {@linkcode watch}. */
export function stopWatching(_api: Api, { stop }: State): void {
  stop.abort();
}

/** Comes back when {@linkcode watch} has seen the newest change. */
export async function seesNewest(_api: Api, state: State): Promise<void> {
  const newest = state.memory.revision;
  const deadline = performance.now() + WATCHDOG;
  while (state.seen !== newest) {
    if (state.problem !== undefined) throw state.problem;
    if (performance.now() > deadline) throw new Error(`Asleep at ${state.seen}, the newest is ${newest}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Publishes once, and gives the steps that it took. */
export function publish(_api: Api, { memory }: State, { step, action }: Fault): string[] {
  arm(step, action);
  memory.notify();
  return steps();
}

/** Begins to wait for the next change, and gives the steps that it took. */
export function beginWait(_api: Api, state: State, { step, action }: Fault): string[] {
  arm(step, action);
  state.waiting = state.memory.waitForChange(state.memory.revision);
  state.waiting.catch(() => {}); // detached
  return steps();
}

/** Comes back when what {@linkcode beginWait} waits for has come. */
export async function endWait(_api: Api, { waiting }: State): Promise<void> {
  await waiting;
}

/** Detaches, and gives the steps that it took. */
export function detach(_api: Api, { memory }: State, { step, action }: Fault): string[] {
  arm(step, action);
  memory.detach();
  return steps();
}
