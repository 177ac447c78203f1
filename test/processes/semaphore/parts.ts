/** What those do who take and give permits in the tests of semaphores; loaded by peers of any runtime. */

import { arm, steps } from "../../support/faults.ts";
import { holdTimers } from "../../support/held_timers.ts";
import type { Api, State } from "../../support/peer.ts";
import type { Fault } from "../changes/parts.ts";

/** What is done at a step. */
export type Act = "tryAcquire" | "acquire" | "give back" | "forget" | "release";

/** Attaches. `held`: from here on nothing but bells wakes this process. */
export function open(
  { SystemSemaphore }: Api,
  state: State,
  { key, initial, held }: { key: string; initial: number; held: boolean },
): void {
  if (held) holdTimers();
  state.semaphore = SystemSemaphore.open(key, { initial });
}

/** Takes permits without waiting. False: there are not so many. */
export function take(_api: Api, state: State, count: number): boolean {
  state.permit = state.semaphore.tryAcquire(count);
  return state.permit !== undefined;
}

/** Waits for permits. */
export async function acquire(_api: Api, state: State, count: number): Promise<void> {
  state.permit = await state.semaphore.acquire({ count });
}

/** Gives them back. */
export function giveBack(_api: Api, { permit }: State): void {
  permit?.release();
}

/** How many there are. */
export function available(_api: Api, { semaphore }: State): number {
  return semaphore.available;
}

/** Does it, and gives the steps that it took. */
export async function perform(_api: Api, state: State, { act, step, action }: Fault & { act: Act }): Promise<string[]> {
  const { semaphore, permit } = state;
  arm(step, action);
  if (act === "tryAcquire") state.permit = semaphore.tryAcquire(2);
  else if (act === "acquire") state.permit = await semaphore.acquire({ count: 2 });
  else if (act === "give back") permit.release();
  else if (act === "forget") permit.forget();
  else semaphore.release(2);
  return steps();
}
