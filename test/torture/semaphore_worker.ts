/**
 * One of those who take, give back, consume and add permits in test/torture/semaphore.ts, loaded by peers of any runtime.
 *
 * Each has four words in a segment, and writes there what it is about to do, and what it has done: what was begun and not
 * ended when it is killed may have happened, or not.
 */

import type { Api, State } from "../support/peer.ts";
import { Random } from "../support/random.ts";

export const KEY = "torture";
export const WORDS = { forgetting: 0, forgot: 1, adding: 2, added: 3, count: 4 } as const;

/** Attaches, and works on and on, until it is told to end. */
export function work(
  { SharedMemory, SystemSemaphore }: Api,
  state: State,
  { slot, seed, most }: { slot: number; seed: number; most: number },
): void {
  const memory = SharedMemory.attach(KEY);
  const semaphore = SystemSemaphore.open(KEY);
  const words = new Int32Array(memory.data.buffer, memory.data.byteOffset + slot * 4 * WORDS.count, WORDS.count);
  const random = new Random(seed);
  state.turns = 0;
  state.working = (async () => {
    while (!state.over) {
      const count = 1 + random.below(most);
      const permit = random.below(4) === 0 ? semaphore.acquireSync({ count }) : await semaphore.acquire({ count });
      state.turns++;
      const kind = random.below(8);
      if (kind === 0) {
        // Consumes them, and adds as many: what is there in all stays the same.
        Atomics.add(words, WORDS.forgetting, count);
        permit.forget();
        Atomics.add(words, WORDS.forgot, count);
        Atomics.add(words, WORDS.adding, count);
        semaphore.release(count);
        Atomics.add(words, WORDS.added, count);
      } else {
        if (kind < 4) await new Promise((resolve) => setImmediate(resolve));
        permit.release();
      }
      if (random.below(16) === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    semaphore.close();
    memory.detach();
  })();
  state.working.catch((error: unknown) => state.problem = error);
}

/** How often it got permits. Throws what went wrong. */
export function turns(_api: Api, { turns, problem }: State): number {
  if (problem !== undefined) throw problem;
  return turns;
}

/** Lets it end in order. */
export async function end(_api: Api, state: State): Promise<void> {
  state.over = true;
  await state.working;
}
