/**
 * Changes at full speed between processes, with random pauses on both sides: the reader is woken for the newest of them,
 * always, by its bell alone (its timers are held); and a slow consumer gets the newest state, not all of them.
 */

import { Peer } from "../support/peer.ts";
import type { Random } from "../support/random.ts";
import type { RuntimeName } from "../support/runtimes.ts";
import type { Consumed, Followed } from "./changes_worker.ts";

const WORKER = new URL("./changes_worker.ts", import.meta.url).href;

export interface ChangesTortureOptions {
  readonly directory: string;
  readonly reader: RuntimeName;
  readonly publishers: readonly RuntimeName[];
  /** Of all publishers together. */
  readonly changes: number;
  readonly random: Random;
}

export interface ChangesTortureResult extends Followed {
  /** How often a publisher waited until the reader had the newest. */
  readonly checks: number;
}

async function startAll(runtimes: readonly RuntimeName[], directory: string): Promise<Peer[] & AsyncDisposable> {
  const peers = await Promise.all(runtimes.map((runtime) => Peer.start(runtime, { directory })));
  return Object.assign(peers, {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    },
  });
}

/** Runs it. It rejects if the reader does not wake. */
export async function changesTorture(
  { directory, reader, publishers, changes, random }: ChangesTortureOptions,
): Promise<ChangesTortureResult> {
  const key = "changes";
  const each = Math.ceil(changes / publishers.length);
  await using peers = await startAll([reader, ...publishers], directory);
  const [following, ...publishing] = peers;
  for (const peer of peers) await peer.call(WORKER, "attach", key);
  const seeds = peers.map(() => random.below(0x7fffffff));
  const followed = following!.call<Followed>(WORKER, "follow", { seed: seeds[0], publishers: publishers.length });
  followed.catch(() => {}); // it is killed when a publisher has found that it sleeps
  const checks = await Promise.all(publishing.map((peer, i) =>
    peer.call<number>(WORKER, "publish", { seed: seeds[i + 1], changes: each })));
  const result = { ...await followed, checks: checks.reduce((a, b) => a + b) };
  for (const peer of peers) await peer.run((_api, { memory }) => void memory.detach());
  return result;
}

export interface CoalescingResult extends Consumed {
  /** The writer's. */
  readonly writerGrowth: Consumed["growth"];
}

/** A fast writer and a slow consumer of `changes()`. */
export async function coalescing(
  { directory, reader, writer, writes }: {
    readonly directory: string;
    readonly reader: RuntimeName;
    readonly writer: RuntimeName;
    readonly writes: number;
  },
): Promise<CoalescingResult> {
  const key = "coalescing";
  await using peers = await startAll([reader, writer], directory);
  for (const peer of peers) await peer.run(({ SharedMemory }, state, key) => void (state.memory = SharedMemory.open(key, 64)), key);
  const [consumed, writerGrowth] = await Promise.all([
    peers[0]!.call<Consumed>(WORKER, "consume", { key, writes }),
    peers[1]!.call<Consumed["growth"]>(WORKER, "produce", { key, writes }),
  ]);
  for (const peer of peers) await peer.run((_api, { memory }) => void memory.detach());
  return { ...consumed, writerGrowth };
}
