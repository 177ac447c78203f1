/** Two processes that meet, whatever is between them: they exclude each other, wake each other, and see the other's death. */

import { expect } from "vitest";
import type { Peer } from "./peer.ts";

const TIMERS = new URL("./held_timers.ts", import.meta.url).href;

/** Tries to hold the guard: how it ended, and whom it met. */
export function acquireIn(peer: Peer): Promise<{ outcome: string; pid?: number | null; recovered?: boolean }> {
  return peer.run(async ({ SingleInstance }, state) => {
    try {
      state.guard = await SingleInstance.acquire("guard");
      return { outcome: "holds", recovered: state.guard.recovered as boolean };
    } catch (error) {
      const { name, pid } = error as Error & { pid?: number };
      return { outcome: name, pid: pid ?? null };
    }
  });
}

/** Attaches to the memory that they meet in. */
export function openIn(peer: Peer): Promise<void> {
  return peer.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.open("memory", 64)));
}

/** `holder` dies with the guard and the lock; `other` was kept out, sees the death, and goes on. */
export async function excludesUntilDeath(holder: Peer, other: Peer, seen: { guard: number | null; lock: number | null }): Promise<void> {
  expect(await acquireIn(holder)).toEqual({ outcome: "holds", recovered: false });
  await holder.run((_api, state) => void (state.lock = state.memory.lockSync()));
  expect(await acquireIn(other)).toEqual({ outcome: "AlreadyRunningError", pid: seen.guard });
  const look = (): Promise<unknown> =>
    other.run(({ inspect }, { memory }) => ({
      isFree: memory.tryLock() !== undefined,
      owner: [memory.lockOwner?.alive, memory.lockOwner?.pid ?? null],
      others: inspect("memory", "memory")!.attached.filter(({ pid }) => pid !== process.pid).map(({ alive }) => alive),
    }));
  expect(await look()).toEqual({ isFree: false, owner: [true, seen.lock], others: [true] });
  const waiting = other.run(async (_api, { memory }) => (await memory.lock()).ownerDied as boolean);
  await holder.kill();
  expect(await waiting).toBe(true);
  const after = other.run(({ inspect }, { memory }) => ({
    attached: inspect("memory", "memory")!.attached.map(({ pid }) => pid === process.pid),
    detached: memory.detach() as boolean,
  }));
  expect(await after).toEqual({ attached: [true], detached: true });
  expect(await acquireIn(other)).toEqual({ outcome: "holds", recovered: true });
  await other.run((_api, { guard }) => guard.release());
}

/** What `writer` writes wakes `sleeper`, which does not look by itself: its timers are held. */
export async function wakes(writer: Peer, sleeper: Peer): Promise<void> {
  await sleeper.call(TIMERS, "holdTimers");
  for (let round = 1; round <= 3; round++) {
    await sleeper.run((_api, state) => {
      state.before = state.memory.revision;
      state.woken = state.memory.waitForChange(state.before);
    });
    await writer.run((_api, { memory }, byte) => memory.write(Uint8Array.of(byte)), round);
    expect(await sleeper.run(async (_api, { memory, woken }) => (await woken, memory.read(0, 1)[0] as number))).toBe(round);
  }
  await sleeper.call(TIMERS, "letTimersGo");
}
