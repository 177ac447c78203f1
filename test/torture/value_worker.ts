/** Readers and writers of test/torture/value.ts, loaded by peers of any runtime. */

import type { Api, State } from "../support/peer.ts";
import { Random } from "../support/random.ts";
import { checkContent, contentOf } from "./value_content.ts";

export const MAX_SIZE = 1 << 20;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A size from 1 to `MAX_SIZE` bytes; as in native_peer.c. */
export const drawSize = (random: Random): number => 1 + random.below(1 << (1 + random.below(20)));

export function open({ SharedValue, bytes }: Api, state: State, key: string): void {
  state.value = SharedValue.open(key, { maxSize: MAX_SIZE, codec: bytes });
}

/** Sets values on and on. */
export function write(_api: Api, state: State, { slot, base, seed }: { slot: number; base: number; seed: number }): void {
  const random = new Random(seed);
  let counter = base;
  (async () => {
    while (!state.over) {
      for (let burst = 0; burst < 10; burst++) state.value.set(contentOf(drawSize(random), ++counter, slot));
      await turn();
    }
  })().catch((error) => state.problem = error);
}

/** Reads on and on: whole values, of each writer never an older one than before. */
export function read(_api: Api, state: State, { slow, base }: { slow: boolean; base: number }): void {
  const newest = new Map<number, number>();
  let revision = 0;
  state.gets = 0;
  (async () => {
    while (!state.over) {
      for (let burst = 0; burst < (slow ? 1 : 20); burst++) {
        const before = state.value.revision;
        if (before < revision) throw new Error(`Revision ${before} after ${revision}`);
        revision = before;
        const seen = checkContent(state.value.get());
        state.gets++;
        if (seen === undefined) continue;
        if (seen.counter < (newest.get(seen.slot) ?? base)) {
          throw new Error(`Value ${seen.counter} of writer ${seen.slot} after ${newest.get(seen.slot)}`);
        }
        newest.set(seen.slot, seen.counter);
      }
      if (slow) await new Promise((resolve) => setTimeout(resolve, 5));
      else await turn();
    }
  })().catch((error) => state.problem = error);
}

/** How many were read. Throws what went wrong. */
export function gets(_api: Api, { gets, problem }: State): number {
  if (problem !== undefined) throw problem;
  return gets;
}

/** Ends it. Throws what went wrong. */
export async function end(_api: Api, state: State): Promise<void> {
  state.over = true;
  await turn();
  if (state.problem !== undefined) throw state.problem;
}
