/**
 * The two sides of test/torture/changes.ts, loaded by peers of any runtime.
 *
 * Words of the segment: the revision that the reader has seen; how many publishers are done.
 */

import { holdTimers } from "../support/held_timers.ts";
import { memoryInUse } from "../support/memory_use.ts";
import type { Api, State } from "../support/peer.ts";
import { Random } from "../support/random.ts";

const SEEN = 0;
const DONE = 1;
/** ms after which a publisher gives up: the reader has not woken. */
const WATCHDOG = 60_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Nothing, or some microseconds, or some turns of the event loop, or as long as it takes a reader to fall asleep. */
async function pause(random: Random): Promise<void> {
  const kind = random.below(16);
  const end = performance.now() + random.below(1000) / (kind === 0 ? 400 : 10_000);
  if (kind === 0) while (performance.now() < end) await turn();
  else if (kind < 3) for (let turns = random.below(60); turns > 0; turns--) await turn();
  else if (kind < 6) while (performance.now() < end);
}

const wordsOf = ({ memory }: State): Int32Array => new Int32Array(memory.data.buffer, memory.data.byteOffset, 2);

/** What a reader tells in the end. */
export interface Followed {
  readonly seen: number;
  readonly newest: number;
  readonly wakes: number;
}

/** Attaches; from here on nothing wakes this process but bells. */
export function attach({ SharedMemory }: Api, state: State, key: string): void {
  holdTimers();
  state.memory = SharedMemory.open(key, 64);
}

/** Waits for change after change, until all publishers are done. */
export async function follow(
  _api: Api,
  state: State,
  { seed, publishers }: { seed: number; publishers: number },
): Promise<Followed> {
  const { memory } = state;
  const words = wordsOf(state);
  const random = new Random(seed);
  let seen = 0;
  let wakes = 0;
  while (Atomics.load(words, DONE) < publishers || seen !== memory.revision) {
    seen = await memory.waitForChange(seen);
    wakes++;
    Atomics.store(words, SEEN, seen);
    await pause(random);
  }
  return { seen, newest: memory.revision, wakes };
}

/** Publishes in bursts, and looks behind every other one whether the reader comes to the newest. */
export async function publish(
  _api: Api,
  state: State,
  { seed, changes }: { seed: number; changes: number },
): Promise<number> {
  const { memory } = state;
  const words = wordsOf(state);
  const random = new Random(seed);
  let checks = 0;
  for (let left = changes; left > 0;) {
    const burst = Math.min(left, 1 + random.below(64));
    for (let i = 0; i < burst; i++) memory.notify();
    left -= burst;
    if (random.below(2) === 0) {
      const newest = memory.revision;
      const deadline = performance.now() + WATCHDOG;
      while (Atomics.load(words, SEEN) < newest) {
        if (performance.now() > deadline) throw new Error(`Asleep at ${Atomics.load(words, SEEN)}, the newest is ${newest}`);
        await turn();
      }
      checks++;
    }
    await pause(random);
  }
  Atomics.add(words, DONE, 1);
  memory.notify();
  return checks;
}

/** What a consumer of `changes()` tells in the end. */
export interface Consumed {
  readonly events: number;
  readonly last: number;
  /** Bytes more in use than after the first tenth. */
  readonly growth: { readonly heap: number; readonly process: number };
}

async function growthSince(before: { heap: number; process: number }): Promise<Consumed["growth"]> {
  const after = await memoryInUse();
  return { heap: after.heap - before.heap, process: after.process - before.process };
}

/** Follows `changes()`, slowly, until the data say that it is over. */
export async function consume(
  { SharedMemory }: Api,
  _state: State,
  { key, writes }: { key: string; writes: number },
): Promise<Consumed> {
  const memory = SharedMemory.attach(key);
  const count = new Int32Array(memory.data.buffer, memory.data.byteOffset, 1);
  let before: { heap: number; process: number } | undefined;
  let events = 0;
  for await (const _revision of memory.changes({ initial: true })) {
    events++;
    if (before === undefined && Atomics.load(count, 0) > writes / 10) before = await memoryInUse();
    if (Atomics.load(count, 0) === writes) break;
    for (let turns = 0; turns < 5; turns++) await turn();
  }
  const last = Atomics.load(count, 0);
  const growth = await growthSince(before!);
  memory.detach();
  return { events, last, growth };
}

/** Writes 1, 2, 3, ... as fast as it can, with a turn of the event loop now and then. */
export async function produce(
  { SharedMemory }: Api,
  _state: State,
  { key, writes }: { key: string; writes: number },
): Promise<Consumed["growth"]> {
  const memory = SharedMemory.attach(key);
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  let before: { heap: number; process: number } | undefined;
  for (let i = 1; i <= writes; i++) {
    view.setInt32(0, i, true);
    memory.write(bytes);
    if (i % 1000 === 0) await turn();
    if (i === writes / 10) before = await memoryInUse();
  }
  const growth = await growthSince(before!);
  memory.detach();
  return growth;
}
