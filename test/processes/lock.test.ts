/** The lock between processes: exact counts, owners that die, hang, or are forced, and nobody starved. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { lockWord } from "../support/kernel.ts";
import { nativePeer } from "../support/native_peer.ts";
import { type Api, Peer, type State } from "../support/peer.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import { killOwners } from "../torture/lock.ts";

const TIMES = 10_000;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

/** Several peers attached to one segment of 64 bytes, made by the first. */
async function attachedPeers(directory: string, runtimes: readonly RuntimeName[]): Promise<Peer[] & AsyncDisposable> {
  const peers = await Promise.all(runtimes.map((runtime) => Peer.start(runtime, { directory })));
  for (const peer of peers) {
    await peer.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.open("lock", 64)));
  }
  return Object.assign(peers, {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    },
  });
}

/** Words: the count, how many are there, who was last, how often that changed. The same stands in native_peer.c. */
async function countSync(_api: Api, { memory }: State, times: number): Promise<void> {
  const words = new Uint32Array(memory.data.buffer, 0, 4);
  Atomics.add(words, 1, 1);
  while (Atomics.load(words, 1) < 4);
  for (let i = 0; i < times; i++) {
    const lock = memory.lockSync();
    words[0] = words[0]! + 1;
    if (words[2] !== process.pid) {
      words[2] = process.pid;
      words[3] = words[3]! + 1;
    }
    lock.unlock();
    for (let rest = 0; rest < 300; rest++) Atomics.load(words, 1); // so that others come in between
  }
}

async function countAsync(_api: Api, { memory }: State, times: number): Promise<void> {
  const words = new Uint32Array(memory.data.buffer, 0, 4);
  Atomics.add(words, 1, 1);
  while (Atomics.load(words, 1) < 4);
  for (let i = 0; i < times; i++) {
    const lock = await memory.lock();
    words[0] = words[0]! + 1;
    if (words[2] !== process.pid) {
      words[2] = process.pid;
      words[3] = words[3]! + 1;
    }
    lock.unlock();
    for (let rest = 0; rest < 300; rest++) Atomics.load(words, 1); // so that others come in between
  }
}

/** The fourth process: a C program, or, without a compiler, a second one of the first runtime. */
async function countInC(directory: string): Promise<() => Promise<number>> {
  const child = spawn(nativePeer()!, ["count", "lock", String(TIMES)], {
    env: { ...process.env, QSHM_DIRECTORY: directory },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  return async () => {
    child.stdin.write("\n");
    return (await exited)[0];
  };
}

describe("lock between processes", () => {
  for (const [name, count] of [["lockSync()", countSync], ["lock()", countAsync]] as const) {
    it(`${name} loses no count when four processes add ${TIMES} each`, { timeout: 600_000 }, async () => {
      using directory = testDirectory();
      const withC = nativePeer() !== undefined;
      await using peers = await attachedPeers(directory.path, withC ? RUNTIMES : [...RUNTIMES, "bun"]);
      const countC = withC ? await countInC(directory.path) : undefined;
      const started = performance.now();
      const counts = peers.map((peer) => peer.run(count, TIMES));
      if (countC !== undefined) expect(await countC()).toBe(0);
      await Promise.all(counts);
      const took = Math.round(performance.now() - started);
      const [total, , , changes] = await peers[0]!.run((
        _api,
        { memory },
      ) => [...new Uint32Array(memory.data.buffer, 0, 4)]);
      console.log(`${name}: ${4 * TIMES} turns in ${took} ms, ${changes} times from one process to another`);
      expect(total).toBe(4 * TIMES);
      expect(changes).toBeGreaterThan(10);
    });
  }

  it(
    "lock() and lockSync() tell ownerDied, or find whole data, when owners are killed",
    { timeout: 600_000 },
    async () => {
      using directory = testDirectory();
      const result = await killOwners({ directory: directory.path, kills: 300, random: printedRandom("lock") });
      const sorted = result.recoveries.toSorted((a, b) => a - b);
      console.log(
        `lock: killed while holding ${
          JSON.stringify(result.owners)
        }; anywhere ${result.anywhere}, of them owners ${result.met}; ` +
          `recovery over ${sorted.length}: median ${sorted[sorted.length >> 1]!.toFixed(1)} ms, ` +
          `longest ${sorted.at(-1)!.toFixed(1)} ms`,
      );
      expect(result.violations).toEqual([]);
      expect(Object.values(result.owners).reduce((a, b) => a + b)).toBe(300);
      expect(sorted.length).toBeGreaterThanOrEqual(50);
      expect(directory.entries()).toEqual([]);
    },
  );

  for (const [i, greedy] of RUNTIMES.entries()) {
    const patient = rotated(i + 1);
    it(`lock() in ${patient} gets its turns when ${greedy} takes and frees it all the time`, async () => {
      using directory = testDirectory();
      await using peers = await attachedPeers(directory.path, [greedy, patient]);
      const greed = peers[0]!.run((_api, { memory }) => {
        const words = new Uint32Array(memory.data.buffer, 0, 2);
        let turns = 0;
        while (Atomics.load(words, 0) === 0) {
          const lock = memory.lockSync();
          turns++;
          lock.unlock();
          Atomics.add(words, 1, 1);
        }
        return turns;
      });
      const patience = await peers[1]!.run(async (_api, { memory }) => {
        const words = new Uint32Array(memory.data.buffer, 0, 2);
        for (let i = 0; i < 50; i++) {
          // The other one runs, and has had the lock since.
          const seen = Atomics.load(words, 1);
          while (Atomics.load(words, 1) === seen) await new Promise((resolve) => setImmediate(resolve));
          (await memory.lock()).unlock();
        }
        Atomics.store(words, 0, 1);
        return 50;
      });
      expect(patience).toBe(50);
      expect(await greed).toBeGreaterThanOrEqual(50);
    });
  }

  for (const [i, owner] of RUNTIMES.entries()) {
    const [forcer, next] = [rotated(i + 1), rotated(i + 2)];

    it(`forceUnlock() in ${forcer} makes unlock() in ${owner} throw LockError, and is told to the next`, async () => {
      using directory = testDirectory();
      await using peers = await attachedPeers(directory.path, [owner, forcer, next]);
      await peers[0]!.run((_api, state) => void (state.lock = state.memory.lockSync()));
      const forced = await peers[1]!.run((_api, { memory }) => {
        const seen = memory.lockOwner;
        const { pid, alive } = memory.forceUnlock(seen);
        return { pid, alive, seen: seen.pid };
      });
      expect(forced).toEqual({ pid: peers[0]!.pid, alive: true, seen: peers[0]!.pid });
      await expect(peers[0]!.run((_api, { lock }) => lock.unlock())).rejects.toMatchObject({ name: "LockError" });
      const told = await peers[2]!.run((_api, { memory }) => {
        const lock = memory.lockSync();
        const { ownerDied } = lock;
        lock.unlock();
        return ownerDied;
      });
      expect(told).toBe(true);
      // Told once: that one unlocked in order.
      expect(await peers[1]!.run((_api, { memory }) => memory.tryLock().ownerDied)).toBe(false);
    });

    it(`forceUnlock(expected) in ${forcer} frees nobody when ${owner} unlocked and ${next} locked since`, async () => {
      using directory = testDirectory();
      await using peers = await attachedPeers(directory.path, [owner, forcer, next]);
      await peers[0]!.run((_api, state) => void (state.lock = state.memory.lockSync()));
      await peers[1]!.run((_api, state) => void (state.expected = state.memory.lockOwner));
      await peers[0]!.run((_api, { lock }) => lock.unlock());
      const force = (): Promise<unknown> =>
        peers[1]!.run((_api, { memory, expected }) => memory.forceUnlock(expected) ?? "nobody");
      expect(await force()).toBe("nobody");
      await peers[2]!.run((_api, state) => void (state.lock = state.memory.lockSync()));
      expect(await force()).toBe("nobody");
      await peers[2]!.run((_api, { lock }) => lock.unlock()); // does not throw
      expect(await peers[0]!.run((_api, { memory }) => memory.tryLock().ownerDied)).toBe(false);
    });

    it(`forceUnlock(expected) in ${forcer} frees nobody when ${owner} has made the segment anew`, async () => {
      using directory = testDirectory();
      await using peers = await attachedPeers(directory.path, [owner, forcer]);
      await peers[0]!.run((_api, state) => void (state.lock = state.memory.lockSync()));
      await peers[1]!.run((_api, state) => {
        state.expected = state.memory.lockOwner;
        state.memory.detach();
      });
      await peers[0]!.run(({ SharedMemory }, state) => {
        state.memory.detach();
        state.memory = SharedMemory.create("lock", 64);
        state.lock = state.memory.lockSync();
      });
      const forced = await peers[1]!.run(({ SharedMemory }, { expected }) => {
        return SharedMemory.attach("lock").forceUnlock(expected) ?? "nobody";
      });
      expect(forced).toBe("nobody");
    });

    it(`lock() and its kin in ${forcer} and ${next} time out when the owner, ${owner}, is stopped`, async () => {
      using directory = testDirectory();
      await using peers = await attachedPeers(directory.path, [owner, forcer, next]);
      await peers[0]!.run((_api, state) => void (state.lock = state.memory.lockSync()));
      peers[0]!.signal("SIGSTOP");
      await stopped(peers[0]!.pid);
      for (const peer of peers.slice(1)) {
        const outcomes = await peer.run(async (_api, { memory }) => {
          const name = (error: unknown): string => (error as Error).name;
          const outcomes: string[] = [memory.tryLock() === undefined ? "none" : "lock"];
          try {
            memory.lockSync({ timeout: 30 });
          } catch (error) {
            outcomes.push(name(error));
          }
          outcomes.push(await memory.lock({ timeout: 30 }).then(() => "lock", name));
          return [...outcomes, String(memory.lockOwner.pid), String(memory.lockOwner.alive)];
        });
        expect(outcomes).toEqual(["none", "TimeoutError", "TimeoutError", String(peers[0]!.pid), "true"]);
      }
      // Two wait without a limit; it goes on, unlocks, and both get their turn.
      const waits = [
        peers[1]!.run((_api, { memory }) => {
          const lock = memory.lockSync();
          lock.unlock();
          return lock.ownerDied;
        }),
        peers[2]!.run(async (_api, { memory }) => {
          const lock = await memory.lock();
          lock.unlock();
          return lock.ownerDied;
        }),
      ];
      while (!lockWord(`${directory.path}/m-lock`).waiters) await new Promise(setImmediate);
      peers[0]!.signal("SIGCONT");
      await peers[0]!.run((_api, { lock }) => lock.unlock());
      expect(await Promise.all(waits)).toEqual([false, false]);
    });
  }
});
