/** Changes between processes: none is missed, many are seen as one, and whoever waits for them costs next to nothing. */

import { describe, expect, it } from "vitest";
import { coalescing, changesTorture } from "../torture/changes.ts";
import { testDirectory } from "../support/directory.ts";
import { armed, bellEntries, setRevision } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stateOf } from "../support/stopped.ts";
import type { Pending } from "./changes/crowd.ts";

const PARTS = new URL("./changes/parts.ts", import.meta.url).href;
const CROWD = new URL("./changes/crowd.ts", import.meta.url).href;
const ALIVE = new URL("./changes/alive.ts", import.meta.url).pathname;
const CHANGES = 100_000;
const WRITES = 1_000_000;
/** Bytes that a process may use more at the end of a million writes: each of them kept would be over this. */
const FLAT = 32 << 20;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

async function publish(publisher: Peer): Promise<number> {
  return await publisher.run((_api, { memory }) => {
    memory.notify();
    return memory.revision as number;
  });
}

describe("changes between processes", () => {
  for (const reader of RUNTIMES) {
    for (const publisher of RUNTIMES) {
      it(`a reader in ${reader} misses no change of ${publisher} at full speed`, { timeout: 300_000 }, async () => {
        using directory = testDirectory();
        const random = printedRandom(`${reader} reads ${publisher}`);
        const result = await changesTorture({
          directory: directory.path,
          reader,
          publishers: [publisher],
          changes: CHANGES,
          random,
        });
        console.log(`${reader} reads ${publisher}: ${JSON.stringify(result)}`);
        expect(result.seen).toBe(result.newest);
        expect(result.newest).toBeGreaterThan(CHANGES);
        expect(result.checks).toBeGreaterThan(50);
        expect(directory.entries()).toEqual([]);
      });
    }

    it(`a reader in ${reader} misses no change of three publishers`, { timeout: 300_000 }, async () => {
      using directory = testDirectory();
      const random = printedRandom(`${reader} reads three`);
      const result = await changesTorture({
        directory: directory.path,
        reader,
        publishers: RUNTIMES,
        changes: CHANGES / 2,
        random,
      });
      console.log(`${reader} reads three: ${JSON.stringify(result)}`);
      expect(result.seen).toBe(result.newest);
      expect(directory.entries()).toEqual([]);
    });
  }

  // The other pairs: npm run torture.
  it("changes() coalesces a million writes for a slow consumer, and nobody's memory grows", { timeout: 300_000 }, async () => {
    const random = printedRandom("coalescing");
    const [reader, writer] = [random.of(RUNTIMES), random.of(RUNTIMES)];
    using directory = testDirectory();
    const result = await coalescing({ directory: directory.path, reader, writer, writes: WRITES });
    console.log(`${reader} consumes ${writer}: ${JSON.stringify(result)}`);
    expect(result.last).toBe(WRITES);
    expect(result.events).toBeGreaterThan(0);
    expect(result.events).toBeLessThan(WRITES / 4);
    for (const growth of [result.growth, result.writerGrowth]) {
      expect(growth.heap).toBeLessThan(FLAT / 8);
      expect(growth.process).toBeLessThan(FLAT);
    }
    expect(directory.entries()).toEqual([]);
  });

  for (const [i, publisher] of RUNTIMES.entries()) {
    for (const [waiters, processes] of [[1, 1], [10, 10], [120, 10]] as const) {
      it(`${waiters} waiting readers see each change of ${publisher}, and when half of them were killed`, { timeout: 300_000 }, async () => {
        using directory = testDirectory();
        const path = `${directory.path}/m-crowd`;
        await using live = await Peer.start(publisher, { directory: directory.path, faults: true });
        await live.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("crowd", 64)));
        const peers = await Promise.all(
          Array.from({ length: processes }, (_, j) => Peer.start(rotated(i + j), { directory: directory.path })),
        );
        await using stack = new AsyncDisposableStack();
        for (const peer of peers) stack.use(peer);
        for (const peer of peers) await peer.call(CROWD, "join", { key: "crowd", count: waiters / processes, held: true });
        for (let round = 0; round < 20; round++) {
          await armed(path, waiters);
          const newest = await publish(live);
          await Promise.all(peers.map((peer) => peer.call(CROWD, "allSee", newest)));
        }
        await armed(path, waiters);
        const dying = peers.splice(0, Math.ceil(processes / 2));
        await Promise.all(dying.map((peer) => peer.kill()));
        const newest = await publish(live);
        await Promise.all(peers.map((peer) => peer.call(CROWD, "allSee", newest)));
        const left = peers.length * waiters / processes;
        await armed(path, left);
        expect(bellEntries(path).length).toBe(left);
        expect(directory.entries().filter((name) => name.startsWith("b."))).toEqual(
          bellEntries(path).map(({ name }) => name).sort(),
        );
        for (const peer of peers) await peer.call(CROWD, "stopAll");
        // Those who wait no more are rung once, and the next change finds nobody.
        for (let last = 0; last < 2; last++) await publish(live);
        for (let quiet = 0; quiet < 3; quiet++) {
          const steps = await live.call<string[]>(PARTS, "publish", { step: 0, action: "count" });
          expect(steps).toEqual(["written", "bumped"]);
        }
        for (const peer of peers) await peer.call(CROWD, "leave");
        await live.run((_api, { memory }) => void memory.detach());
        expect(directory.entries()).toEqual([]);
      });
    }

    it(`200 pending waits in ${publisher} keep nothing else waiting, and are over in the turn of their abort`, async () => {
      using directory = testDirectory();
      await using peer = await Peer.start(publisher, { directory: directory.path });
      await using other = await Peer.start(rotated(i + 1), { directory: directory.path });
      await other.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("pending", 64)));
      const { threads, ...rest } = await peer.call<Pending>(CROWD, "pend", "pending");
      expect(threads).toBeLessThan(8); // a runtime starts some for itself, whenever it likes
      expect(rest).toEqual({
        descriptors: 0,
        pendingBehindTimer: 200,
        pendingBehindAbort: 0,
        otherReasons: 0,
      });
      await other.run((_api, { memory }) => void memory.detach());
      expect(directory.entries()).toEqual([]);
    });

    it(`a program in ${publisher} that only waits stays, unless all its waits are ref: false`, async () => {
      using directory = testDirectory();
      await using other = await Peer.start(rotated(i + 1), { directory: directory.path });
      await other.run(async ({ SharedMemory, SharedValue, SystemSemaphore }, state) => {
        state.memory = SharedMemory.create("alive", 64);
        state.value = SharedValue.open<number>("alive");
        state.semaphore = SystemSemaphore.open("alive");
      });
      const run = (way: string): Program => new Program(publisher, ALIVE, { directory: directory.path, args: [way] });
      for (const way of ["waitForChange()", "lock()", "changes()", "changes() of a value", "acquire()"]) {
        await other.run((_api, state) => {
          state.lock = state.memory.lockSync();
          state.permit = state.semaphore.tryAcquire();
        });
        await using program = run(way);
        expect(await program.line(), way).toBe("waiting");
        while (stateOf(program.pid) !== "S") await new Promise(setImmediate);
        await other.run((_api, { memory, value, lock, permit }) => {
          memory.notify();
          value.set(1);
          lock.unlock();
          permit.release();
        });
        expect(await program.line(), way).toBe("woken");
        expect(await program.exited(), `${way}: ${program.stderr}`).toBe(0);
      }
      await other.run((_api, state) => {
        state.lock = state.memory.lockSync();
        state.permit = state.semaphore.tryAcquire();
      });
      await using program = run("ref: false");
      expect(await program.line()).toBe("waiting");
      expect(await program.exited(), program.stderr).toBe(0);
      await other.run((_api, { memory, value, semaphore }) => {
        for (const each of [value, semaphore]) each.close();
        memory.detach();
      });
      expect(directory.entries()).toEqual([]);
    });
  }

  it("the revision wraps from 2^31-1 to 0, and those who wait see it", async () => {
    for (const [i, reader] of RUNTIMES.entries()) {
      using directory = testDirectory();
      await using peers = new AsyncDisposableStack();
      const following = peers.use(await Peer.start(reader, { directory: directory.path }));
      const live = peers.use(await Peer.start(rotated(i + 1), { directory: directory.path }));
      const path = `${directory.path}/m-crowd`;
      await live.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("crowd", 64)));
      setRevision(path, 2 ** 31 - 2);
      await following.call(CROWD, "join", { key: "crowd", count: 1, held: true });
      for (const expected of [2 ** 31 - 1, 0, 1]) {
        await armed(path, 1);
        expect(await publish(live)).toBe(expected);
        await following.call(CROWD, "allSee", expected);
      }
    }
  });
});
