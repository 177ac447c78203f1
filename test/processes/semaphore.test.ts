/** Permits between processes: none is lost or made, whoever is killed wherever; and nobody who waits for many is starved. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { armed } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";
import { semaphoreTorture } from "../torture/semaphore.ts";
import type { Act } from "./semaphore/parts.ts";

const PARTS = new URL("./semaphore/parts.ts", import.meta.url).href;
const QUEUE = new URL("./semaphore/queue.ts", import.meta.url).pathname;
const KEY = "permits";
const INITIAL = 5;
const KILLS = 60;
const ITEMS = 10_000;
const RING_BYTES = 4 * (2 + 64 + ITEMS);
const MOST_STEPS = 80;
const COUNT = { step: 0, action: "count" } as const;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

/** What each does with two of five permits, and how many there are when it was killed at a step of it, or behind it. */
const ACTS: Readonly<Record<Act, { readonly holds: boolean; readonly left: number }>> = {
  "tryAcquire": { holds: false, left: INITIAL },
  "acquire": { holds: false, left: INITIAL },
  "give back": { holds: true, left: INITIAL },
  // Its only step comes when they are consumed.
  "forget": { holds: true, left: INITIAL - 2 },
  "release": { holds: false, left: INITIAL + 2 },
};

async function start(runtime: RuntimeName, directory: string, initial = INITIAL, held = false): Promise<Peer> {
  const peer = await Peer.start(runtime, { directory, faults: true });
  await peer.call(PARTS, "open", { key: KEY, initial, held });
  return peer;
}

async function closeAll(peers: readonly Peer[]): Promise<void> {
  for (const peer of peers) await peer.run((_api, { semaphore }) => void semaphore.close());
}

describe("semaphore between processes", () => {
  it("permits are those that there were when their users are killed at random", { timeout: 600_000 }, async () => {
    using directory = testDirectory();
    const result = await semaphoreTorture({ directory: directory.path, kills: KILLS, random: printedRandom("semaphore") });
    console.log(`semaphore: ${JSON.stringify(result)}`);
    expect(result.violations).toEqual([]);
    expect(Object.values(result.killed).reduce((a, b) => a + b)).toBe(KILLS);
    expect(result.turns).toBeGreaterThan(KILLS);
    expect(directory.entries()).toEqual([]);
  });

  for (const [i, runtime] of RUNTIMES.entries()) {
    for (const releaser of RUNTIMES) {
      it(`acquire() in ${runtime} is woken by release() in ${releaser}`, async () => {
        using directory = testDirectory();
        await using stack = new AsyncDisposableStack();
        const waiter = stack.use(await start(runtime, directory.path, 0, true));
        const other = stack.use(await start(releaser, directory.path));
        for (let turn = 0; turn < 20; turn++) {
          const acquired = waiter.call(PARTS, "acquire", 1);
          await Promise.race([armed(`${directory.path}/s-${KEY}`, 1), acquired]);
          await other.run((_api, { semaphore }) => void semaphore.release());
          await acquired;
          await waiter.run((_api, { permit }) => void permit.forget());
        }
        await closeAll([waiter, other]);
        expect(directory.entries()).toEqual([]);
      });
    }

    it(`permits come back once, or are consumed, when ${runtime} is killed at any step`, { timeout: 300_000 }, async () => {
      const hits: Record<string, number> = {};
      for (const [act, { holds, left }] of Object.entries(ACTS)) {
        for (let step = 1, died = true; died; step++) {
          using directory = testDirectory();
          await using stack = new AsyncDisposableStack();
          const witness = stack.use(await start(rotated(i + 1), directory.path));
          const victim = stack.use(await start(runtime, directory.path));
          if (holds) expect(await victim.call(PARTS, "take", 2)).toBe(true);
          const performed = victim.call<string[]>(PARTS, "perform", { act, step, action: "kill" });
          died = await performed.then(() => false, () => true);
          await victim.kill();
          const where = `${act}, killed at step ${step}`;
          expect(await witness.call(PARTS, "available"), where).toBe(left);
          await witness.call(PARTS, "acquire", left);
          expect(await witness.call(PARTS, "available"), where).toBe(0);
          await witness.call(PARTS, "giveBack");
          if (died) hits[act] = step;
          expect(step).toBeLessThan(MOST_STEPS);
          await closeAll([witness]);
          expect(directory.entries()).toEqual([]);
        }
      }
      console.log(`killed in ${runtime}, steps: ${JSON.stringify(hits)}`);
      expect(Object.keys(hits)).toEqual(Object.keys(ACTS));
    });

    it(`nobody waits long for ${runtime} when it is stopped at any step, and no permit is lost`, { timeout: 300_000 }, async () => {
      const hits: Record<string, number> = {};
      using directory = testDirectory();
      await using stack = new AsyncDisposableStack();
      const witness = stack.use(await start(rotated(i + 1), directory.path));
      const victim = stack.use(await start(runtime, directory.path));
      for (const [act, { holds }] of Object.entries(ACTS)) {
        for (let step = 1, most = MOST_STEPS; step <= most; step++) {
          if (holds) expect(await victim.call(PARTS, "take", 2)).toBe(true);
          const done = victim.call<string[]>(PARTS, "perform", { act, step, action: "stop" });
          await Promise.race([stopped(victim.pid), done]);
          const taken = await witness.call<boolean>(PARTS, "take", 1).catch((error: Error) => error.name);
          expect(taken, `${act}, stopped at step ${step}`).toBeOneOf([true, "BusyError"]);
          if (taken === true) await witness.call(PARTS, "giveBack");
          victim.signal("SIGCONT");
          const hit = (await done)[step - 1];
          if (hit === undefined) most = step;
          else hits[hit] = (hits[hit] ?? 0) + 1;
          // Back to five.
          await victim.run(async (_api, { permit, semaphore }, act) => {
            if (act === "tryAcquire" || act === "acquire") permit.release();
            if (act === "forget") semaphore.release(2);
            if (act === "release") (await semaphore.acquire({ count: 2 })).forget();
          }, act);
          expect(await witness.call(PARTS, "available"), `${act}, step ${step}`).toBe(INITIAL);
        }
      }
      await closeAll([witness, victim]);
      console.log(`stopped in ${runtime}: ${JSON.stringify(hits)}`);
      expect(Object.keys(hits)).toEqual(
        expect.arrayContaining(["permits free", "permits taken", "permits returned", "total lowered", "written", "bumped"]),
      );
      expect(directory.entries()).toEqual([]);
    });

    it(`a large request in ${runtime} is served while others take and give small ones all the time`, async () => {
      using directory = testDirectory();
      await using stack = new AsyncDisposableStack();
      const large = stack.use(await start(runtime, directory.path));
      const small = await Promise.all(RUNTIMES.map(async (name) => stack.use(await start(name, directory.path))));
      for (const [j, peer] of small.entries()) {
        await peer.run((_api, state, sync) => {
          state.turns = 0;
          const work = async (): Promise<void> => {
            while (!state.over) {
              const permit = sync ? state.semaphore.acquireSync() : await state.semaphore.acquire();
              await new Promise((resolve) => setImmediate(resolve));
              permit.release();
              state.turns++;
            }
          };
          // Several tasks, so that at no time all permits are free of themselves.
          state.working = Promise.all(sync ? [work()] : [work(), work(), work()]);
        }, j === 0);
      }
      for (let turn = 0; turn < 20; turn++) {
        await large.call(PARTS, "acquire", INITIAL);
        await large.call(PARTS, "giveBack");
      }
      for (const peer of small) {
        const turns = await peer.run(async (_api, state) => {
          state.over = true;
          await state.working;
          return state.turns as number;
        });
        expect(turns).toBeGreaterThan(0);
      }
      await closeAll([large, ...small]);
      expect(directory.entries()).toEqual([]);
    });
  }

  for (const way of ["ended in order", "killed"] as const) {
    const promise = way === "killed" ? "loses none, and repeats at most one a kill," : "loses none and handles none twice";
    it(`a queue of ${ITEMS} items ${promise} when its sides are ${way} and started again`, { timeout: 300_000 }, async () => {
      using directory = testDirectory();
      const random = printedRandom(`queue, ${way}`);
      await using stack = new AsyncDisposableStack();
      const witness = stack.use(await Peer.start(rotated(0), { directory: directory.path }));
      await witness.run(({ SharedMemory, SystemSemaphore }, state, size) => {
        state.memory = SharedMemory.create("queue", size);
        state.kept = [SystemSemaphore.open("items", { initial: 0 }), SystemSemaphore.open("room", { initial: 64 })];
      }, RING_BYTES);
      const taken = (): Promise<number> =>
        witness.run((_api, { memory }) => new Int32Array(memory.data.buffer, memory.data.byteOffset, 2)[1]!);
      const ends: Record<string, number> = { produce: 0, consume: 0 };
      const begin = async (role: string, after: string): Promise<Program> => {
        const program = stack.use(
          new Program(random.of(RUNTIMES), QUEUE, { directory: directory.path, args: [role, String(ITEMS), after] }),
        );
        expect(await program.line()).toBe("up");
        return program;
      };
      const sides: Record<string, Program> = { produce: await begin("produce", "first"), consume: await begin("consume", "first") };
      for (let restart = 1; restart <= 12; restart++) {
        while (await taken() < restart * ITEMS / 14) await new Promise(setImmediate);
        const role = random.of(["produce", "consume"]);
        if (sides[role]!.child.exitCode !== null) continue; // all is done there
        if (way === "killed") sides[role]!.child.kill("SIGKILL");
        else sides[role]!.say();
        const code = await sides[role]!.exited();
        expect(code, sides[role]!.stderr).toBe(way === "killed" ? "SIGKILL" : 0);
        ends[role]!++;
        sides[role] = await begin(role, way === "killed" ? "killed" : "ended");
      }
      for (const side of Object.values(sides)) {
        expect(await side.line()).toBe("done");
        expect(await side.exited(), side.stderr).toBe(0);
      }
      const [least, most, sum] = await witness.run((_api, { memory, kept }, items) => {
        const handled = new Int32Array(memory.data.buffer, memory.data.byteOffset + 4 * (2 + 64), items);
        const found = [Math.min(...handled), Math.max(...handled), handled.reduce((a, b) => a + b)] as const;
        memory.detach();
        for (const semaphore of kept) semaphore.close();
        return found;
      }, ITEMS);
      console.log(`queue: ${way} ${JSON.stringify(ends)}, handled ${least} to ${most} times, ${sum} in all`);
      expect(least).toBe(1);
      expect(sum).toBeLessThanOrEqual(ITEMS + (way === "killed" ? ends.consume! : 0));
      expect(directory.entries()).toEqual([]);
    });
  }
});
