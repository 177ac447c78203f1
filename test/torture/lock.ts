/**
 * Lock torture: owners are killed, most of them while they certainly hold the lock with one half of a pair written, the
 * others anywhere in a loop of locking, writing both halves, and unlocking. Whoever locks next, in whatever runtime,
 * finds equal halves, or is told that the owner died.
 */

import { setTimeout } from "node:timers/promises";
import { lockWord } from "../support/kernel.ts";
import { type Api, Peer, type State } from "../support/peer.ts";
import type { Random } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";

export interface KillOwnersOptions {
  readonly directory: string;
  /** How many are killed while they hold the lock; a third as many are killed anywhere. */
  readonly kills: number;
  readonly random: Random;
  readonly progress?: (kills: number) => void;
}

export interface KillOwnersResult {
  readonly violations: readonly string[];
  /** Kills of certain owners, by their runtime. */
  readonly owners: Readonly<Record<string, number>>;
  /** Kills anywhere in the loop that met an owner, of how many. */
  readonly met: number;
  readonly anywhere: number;
  /** Milliseconds from the kill to the lock, for waiters that slept in `lockSync()`. */
  readonly recoveries: readonly number[];
}

/** What the next owner finds; it repairs. */
interface Found {
  readonly halves: readonly number[];
  readonly ownerDied: boolean;
  readonly at: number;
}

async function lockAndLook(_api: Api, { memory }: State, sync: boolean): Promise<Found> {
  const lock = sync ? memory.lockSync() : await memory.lock();
  const at = performance.timeOrigin + performance.now();
  const words = new Uint32Array(memory.data.buffer, 0, 2);
  const halves = [...words];
  if (lock.ownerDied) words[1] = words[0]!;
  const { ownerDied } = lock;
  lock.unlock();
  return { halves, ownerDied, at };
}

/** Takes the lock, writes one half and stays; or goes on and on. */
function beOwner({ SharedMemory }: Api, state: State, stay: boolean): void {
  const memory = SharedMemory.attach("pair");
  state.memory = memory;
  const words = new Uint32Array(memory.data.buffer, 0, 2);
  const first = memory.lockSync();
  words[0]!++;
  if (stay) return;
  words[1] = words[0]!;
  first.unlock();
  const burst = (): void => {
    for (let i = 0; i < 200; i++) {
      const lock = memory.lockSync();
      words[0]!++;
      words[1]!++;
      lock.unlock();
    }
    setImmediate(burst);
  };
  setImmediate(burst);
}

async function sleepsInLock(path: string): Promise<void> {
  while (!lockWord(path).waiters) await new Promise(setImmediate);
}

/** Runs it. */
export async function killOwners({ directory, kills, random, progress }: KillOwnersOptions): Promise<KillOwnersResult> {
  const start = (runtime: RuntimeName): Promise<Peer> => Peer.start(runtime, { directory });
  const violations: string[] = [];
  const owners: Record<string, number> = {};
  const recoveries: number[] = [];
  let met = 0;
  const lookers = await Promise.all(RUNTIMES.map(start));
  const path = await lookers[0]!.run(({ SharedMemory }, state) => {
    state.memory = SharedMemory.create("pair", 64);
    return state.memory.path as string;
  });
  for (const looker of lookers.slice(1)) {
    await looker.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.attach("pair")));
  }
  const spare: Promise<Peer>[] = [];
  let started = 0;
  const anywhere = Math.ceil(kills / 3);
  for (let i = 0; i < kills + anywhere; i++) {
    while (spare.length < 4) spare.push(start(RUNTIMES[started++ % RUNTIMES.length]!));
    const victim = await spare.shift()!;
    const looker = lookers[random.below(lookers.length)]!;
    const stay = i >= 4 * anywhere || i % 4 !== 3;
    const sync = random.below(2) === 0;
    await victim.run(beOwner, stay);
    if (!stay) await setTimeout(random.below(4)); // anywhere in its loop
    const looking = stay ? looker.run(lockAndLook, sync) : undefined;
    if (stay && sync) await sleepsInLock(path);
    const killed = performance.timeOrigin + performance.now();
    await victim.kill();
    const { halves, ownerDied, at } = await (looking ?? looker.run(lockAndLook, sync));
    const where = `kill ${i} of ${victim.runtime}, ${looker.runtime} looks: ${
      halves.join(" and ")
    }, ownerDied ${ownerDied}`;
    if (halves[0] !== halves[1] && !ownerDied) violations.push(`half-written, and not told: ${where}`);
    if (stay && !ownerDied) violations.push(`an owner died, and it was not told: ${where}`);
    if (stay) owners[victim.runtime] = (owners[victim.runtime] ?? 0) + 1;
    else if (ownerDied) met++;
    if (stay && sync) recoveries.push(at - killed);
    if ((i + 1) % 100 === 0) progress?.(i + 1);
  }
  for (const peer of await Promise.all(spare)) await peer.kill();
  for (const looker of lookers) {
    await looker.run((_api, state) => void state.memory.detach());
    await looker.kill();
  }
  return { violations, owners, met, anywhere, recoveries };
}
