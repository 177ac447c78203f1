/**
 * Semaphore torture: processes of all runtimes take permits, give them back, consume some and add as many, and are killed
 * with SIGKILL wherever they are. In the end the permits are those that there were, but for what the killed ones had begun.
 */

import { setTimeout } from "node:timers/promises";
import { Peer } from "../support/peer.ts";
import type { Random } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { KEY, WORDS } from "./semaphore_worker.ts";

const WORKER = new URL("./semaphore_worker.ts", import.meta.url).href;
const PROCESSES = 4;
const INITIAL = 8;
/** The most that one asks for: large enough that it has to wait for several to give back. */
const MOST = 6;

export interface SemaphoreTortureOptions {
  readonly directory: string;
  readonly kills: number;
  readonly random: Random;
  readonly progress?: (kills: number) => void;
}

export interface SemaphoreTortureResult {
  readonly violations: readonly string[];
  readonly killed: Readonly<Record<string, number>>;
  /** Permits in the end, the least and the most that there may be. */
  readonly available: number;
  readonly least: number;
  readonly most: number;
  /** Turns of those that lived to the end. */
  readonly turns: number;
}

/** Runs it. */
export async function semaphoreTorture(
  { directory, kills, random, progress }: SemaphoreTortureOptions,
): Promise<SemaphoreTortureResult> {
  const start = (runtime: RuntimeName): Promise<Peer> => Peer.start(runtime, { directory });
  const violations: string[] = [];
  const killed: Record<string, number> = {};
  const slots = PROCESSES + kills;
  await using stack = new AsyncDisposableStack();
  const witness = stack.use(await start(random.of(RUNTIMES)));
  await witness.run(({ SharedMemory, SystemSemaphore }, state, { key, size, initial }) => {
    state.memory = SharedMemory.create(key, size);
    state.semaphore = SystemSemaphore.open(key, { initial });
  }, { key: KEY, size: slots * 4 * WORDS.count, initial: INITIAL });
  let slot = 0;
  const spare: Promise<Peer>[] = [];
  async function next(): Promise<{ peer: Peer; slot: number }> {
    while (spare.length < 3) spare.push(start(random.of(RUNTIMES)));
    const peer = stack.use(await spare.shift()!);
    await peer.call(WORKER, "work", { slot, seed: random.below(0x7fffffff), most: MOST });
    return { peer, slot: slot++ };
  }
  /** Adds what a killed one had consumed and not added, so that those who ask for many do not wait for ever. */
  async function addFor(slot: number): Promise<void> {
    await witness.run((_api, { memory, semaphore }, { offset, forgetting, adding, added }) => {
      const words = new Int32Array(memory.data.buffer, memory.data.byteOffset + offset, 4);
      const missing = words[forgetting]! - words[adding]!;
      if (missing === 0) return;
      semaphore.release(missing);
      words[adding]! += missing;
      words[added]! += missing;
    }, { offset: slot * 4 * WORDS.count, ...WORDS });
  }
  const workers: { peer: Peer; slot: number }[] = [];
  while (workers.length < PROCESSES) workers.push(await next());
  for (let i = 0; i < kills; i++) {
    await setTimeout(random.below(10));
    const index = random.below(PROCESSES);
    const { peer: victim, slot } = workers[index]!;
    const problem = await victim.run((_api, state): string | null => state.problem?.message ?? null);
    if (problem !== null) violations.push(`${victim.runtime}: ${problem}`);
    await setTimeout(random.below(2)); // anywhere, not where it answers
    await victim.kill();
    killed[victim.runtime] = (killed[victim.runtime] ?? 0) + 1;
    await addFor(slot);
    workers[index] = await next();
    if ((i + 1) % 100 === 0) progress?.(i + 1);
  }
  let turns = 0;
  for (const { peer } of workers) {
    turns += await peer.call<number>(WORKER, "turns");
    await peer.call(WORKER, "end");
  }
  for (const peer of await Promise.all(spare)) await peer.kill();
  const [forgetting, forgot, adding, added, available] = await witness.run((_api, { memory, semaphore }, count) => {
    const words = new Int32Array(memory.data.buffer, memory.data.byteOffset, memory.size / 4);
    const sums = Array.from({ length: count }, (_, i) => words.reduce((sum, word, j) => j % count === i ? sum + word : sum, 0));
    // All of them can be had, and are: what is said to be there is there.
    const { available } = semaphore;
    if (available > 0) semaphore.tryAcquire(available).release();
    semaphore.close();
    memory.detach();
    return [...sums, available] as [number, number, number, number, number];
  }, WORDS.count);
  const [least, most] = [INITIAL - forgetting + added, INITIAL - forgot + adding];
  if (available < least || available > most) violations.push(`${available} permits, not ${least} to ${most}`);
  return { violations, killed, available, least, most, turns };
}
