/** One guard and many processes, in all runtimes: one holds it, the others are refused or wait for their turn. */

import { closeSync, constants, existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { type Api, Peer, type State } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { printedRandom } from "../support/random.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stopped } from "../support/stopped.ts";

const ONCE = new URL("./guard/once.ts", import.meta.url).pathname;
const rotated = (i: number): RuntimeName => RUNTIMES[i % RUNTIMES.length]!;

/** Peers of all runtimes in turn, started a few at a time. */
async function crowd(directory: string, count: number): Promise<Peer[] & AsyncDisposable> {
  const peers: Peer[] = [];
  const dispose = async (): Promise<void> => {
    await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
  };
  try {
    for (let i = 0; i < count; i += 6) {
      const few = Array.from({ length: Math.min(6, count - i) }, (_, j) => Peer.start(rotated(i + j), { directory }));
      peers.push(...await Promise.all(few));
    }
  } catch (error) {
    await dispose();
    throw error;
  }
  return Object.assign(peers, { [Symbol.asyncDispose]: dispose });
}

/** A FIFO that all can wait at; they go on at one moment, when it is closed here. */
function barrier(path: string): { path: string; open(): void } {
  execFileSync("mkfifo", ["-m", "600", path]);
  const fd = openSync(path, constants.O_RDWR);
  return { path, open: () => closeSync(fd) };
}

/** Comes to the barrier, and says so; the answer of {@linkcode rush} comes behind it. */
function lineUp(_api: Api, state: State, path: string): void {
  const { openSync } = process.getBuiltinModule("node:fs");
  state.barrier = openSync(path, "r");
}

/** Waits at the barrier, then asks at once; the one that holds enters a place that has room for one. */
async function rush({ SingleInstance }: Api, state: State, { place, round }: { place: string; round: number }) {
  const { closeSync, mkdirSync, readSync, writeFileSync } = process.getBuiltinModule("node:fs");
  readSync(state.barrier, new Uint8Array(1), 0, 1, null);
  try {
    // Every other one is given the refusal as an error, which says who holds it.
    state.guard = process.pid % 2 === 0
      ? SingleInstance.tryAcquire("rush", { data: round })
      : await SingleInstance.acquire("rush", { data: round });
    if (state.guard === undefined) return { how: "refused" };
    mkdirSync(`${place}/inside`);
    writeFileSync(`${place}/inside/${process.pid}`, "");
    return { how: "holds", recovered: state.guard.recovered };
  } catch (error) {
    const { name, message, pid, primary } = error as Error & { pid?: number; primary?: { pid: number; data: unknown } };
    return name === "AlreadyRunningError" ? { how: "refused", pid, primary } : { how: message };
  } finally {
    closeSync(state.barrier);
  }
}

describe("guard", () => {
  it("one of 50 processes holds it when all ask at the same moment, 20 times", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    await using peers = await crowd(directory.path, 50);
    const winners = new Set<RuntimeName>();
    let told = 0;
    for (let round = 0; round < 20; round++) {
      // By turns there is no file, and the one of a holder that was killed.
      const crashed = round % 2 === 1;
      if (crashed) await leaveTraces(peers[round]!, `${directory.path}/i-rush`);
      const fifo = barrier(`${place.path}/barrier-${round}`);
      await Promise.all(peers.map((peer) => peer.run(lineUp, fifo.path)));
      const answers = peers.map((peer) => peer.run(rush, { place: place.path, round }));
      fifo.open();
      const results = await Promise.all(answers);
      const holders = peers.filter((_peer, i) => results[i]!.how === "holds");
      expect(results.map(({ how }) => how).toSorted(), `round ${round}`).toEqual(["holds", ...Array(49).fill("refused")]);
      const holder = holders[0]!;
      expect(results.find(({ how }) => how === "holds")!.recovered, `round ${round}`).toBe(crashed);
      for (const { primary, pid } of results) {
        // Who was refused because somebody was about to hold it may not know by whom.
        if (primary !== undefined) expect(primary).toMatchObject({ pid: holder.pid, data: round });
        if (pid !== undefined) expect(pid).toBe(holder.pid);
        if (primary !== undefined) told++;
      }
      winners.add(holder.runtime);
      expect(place.entries()).toContain("inside");
      await holder.run((_api, { guard }, place) => {
        const { rmSync } = process.getBuiltinModule("node:fs");
        rmSync(`${place}/inside`, { recursive: true });
        guard.release();
      }, place.path);
      expect(directory.entries()).toEqual([]);
    }
    console.log(`20 rounds: ${[...winners]} held it; ${told} were told by whom`);
    expect(told).toBeGreaterThan(100);
  });

  for (const [i, first] of RUNTIMES.entries()) {
    for (const second of RUNTIMES) {
      it(`a program that is run in ${first} and again in ${second} does its job once`, async () => {
        using directory = testDirectory();
        using place = testDirectory();
        const job = `${place.path}/job`;
        await using one = new Program(first, ONCE, { directory: directory.path, args: [job] });
        expect(await one.line()).toBe("runs");
        await using two = new Program(second, ONCE, { directory: directory.path, args: [job] });
        await expect(two.line()).rejects.toThrow("It ended (1)");
        expect(two.stderr).toContain("AlreadyRunningError");
        expect(two.stderr).toMatch(
          new RegExp(`Cannot acquire instance "mytool": process ${one.pid} holds it, started \\S+Z: ${job}`),
        );
        expect(readFileSync(job, "utf8")).toBe(`${one.pid} false\n`);
        one.say();
        expect(await one.exited(), one.stderr).toBe(0);
        expect(directory.entries()).toEqual([]);
        // And when it has ended, the next one does.
        await using three = new Program(rotated(i + 1), ONCE, { directory: directory.path, args: [job] });
        expect(await three.line()).toBe("runs");
        three.say();
        expect(await three.exited(), three.stderr).toBe(0);
        expect(readFileSync(job, "utf8")).toBe(`${one.pid} false\n${three.pid} false\n`);
      });
    }

    for (const end of ["SIGCONT", "SIGKILL"] as const) {
      const when = end === "SIGCONT" ? "it releases it" : "it is killed";
      it(`a holder in ${first} that is stopped holds it until ${when}`, async () => {
        using directory = testDirectory();
        await using peers = await crowd(directory.path, 3 + i);
        const [holder, waiter, other] = peers.slice(i) as [Peer, Peer, Peer];
        expect(holder.runtime).toBe(first);
        await holder.run(async ({ SingleInstance }, state) => {
          state.guard = await SingleInstance.acquire("stopped", { data: "mine" });
        });
        holder.signal("SIGSTOP");
        await stopped(holder.pid);
        const waiting = waiter.run(async ({ SingleInstance }, state) => {
          state.guard = await SingleInstance.acquire("stopped", { timeout: Infinity });
          return state.guard.recovered as boolean;
        });
        let got = false;
        void waiting.then(() => got = true, () => {});
        const refused = await other.run(async ({ SingleInstance }) => {
          const tried = SingleInstance.tryAcquire("stopped");
          const error = await SingleInstance.acquire("stopped", { timeout: 100 }).catch((error) => error);
          const running = await SingleInstance.connect("stopped");
          return [tried === undefined, error.name, error.pid, error.primary?.data, running.info.pid, running.info.data];
        });
        expect(refused).toEqual([true, "AlreadyRunningError", holder.pid, "mine", holder.pid, "mine"]);
        expect(got).toBe(false);
        if (end === "SIGCONT") {
          holder.signal("SIGCONT");
          await holder.run((_api, { guard }) => guard.release());
        } else {
          await holder.kill();
        }
        expect(await waiting).toBe(end === "SIGKILL");
        await waiter.run((_api, { guard }) => guard.release());
        expect(directory.entries()).toEqual([]);
      });
    }
  }

  it("20 processes that wait get their turn, one at a time, when others are killed and give up", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    const random = printedRandom("waiters");
    await using peers = await crowd(directory.path, 28);
    const holder = peers[0]!;
    const waiting = peers.slice(1);
    await holder.run(async ({ SingleInstance }, state) => {
      state.guard = await SingleInstance.acquire("queue");
    });
    const turns = new Map(waiting.map((peer) => [peer, wait(peer, place.path)]));
    // Each has asked; and while it waits its event loop turns, and answers.
    for (const peer of waiting) {
      const alive = await peer.run(async (_api, state) => {
        for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 0));
        return { waits: state.waits as boolean, got: state.guard !== undefined };
      });
      expect(alive, peer.runtime).toEqual({ waits: true, got: false });
    }
    const draw = (): Peer => waiting.splice(random.below(waiting.length), 1)[0]!;
    // Four give up, and two are killed while they wait.
    const aborted = [draw(), draw(), draw(), draw()];
    for (const peer of aborted) {
      const rejected = expect(turns.get(peer)).rejects.toThrow("enough");
      await peer.run((_api, state) => state.controller.abort(new Error("enough")));
      await rejected;
    }
    for (const peer of [draw(), draw()]) await end(peer, turns);
    // One is killed when it has its turn: those behind it still get theirs.
    const doomed = draw();
    await doomed.run((_api, state) => void (state.stays = true));
    await holder.run((_api, { guard }) => guard.release());
    let failed = false;
    const all = Promise.all([doomed, ...waiting].map((peer) => turns.get(peer)));
    all.catch(() => failed = true);
    while (!failed && !existsSync(`${place.path}/inside-${doomed.pid}`)) await new Promise(setImmediate);
    if (failed) await all; // throws
    await end(doomed, turns);
    const recovered = await Promise.all(waiting.map((peer) => turns.get(peer)!));
    expect(waiting).toHaveLength(20);
    expect(recovered.filter((recovered) => recovered)).toHaveLength(1);
    expect(readFileSync(`${place.path}/turns`, "utf8").trim().split("\n").toSorted())
      .toEqual([...waiting, doomed].map(({ pid }) => String(pid)).toSorted());
    expect(directory.entries()).toEqual([]);
  });
});

/** Waits without a limit. A turn is: to be alone in a place, to write one's pid, and to let others have theirs. */
async function wait(peer: Peer, place: string): Promise<boolean> {
  return await peer.run(async ({ SingleInstance }, state, place) => {
    const { appendFileSync, mkdirSync, rmdirSync, existsSync, writeFileSync } = process.getBuiltinModule("node:fs");
    state.controller = new AbortController();
    state.waits = true;
    state.guard = await SingleInstance.acquire("queue", { timeout: Infinity, signal: state.controller.signal });
    const { recovered } = state.guard;
    if (recovered) rmdirSync(`${place}/inside`); // of the one that was killed
    mkdirSync(`${place}/inside`);
    appendFileSync(`${place}/turns`, `${process.pid}\n`);
    if (state.stays) {
      writeFileSync(`${place}/inside-${process.pid}`, "");
      return await new Promise<boolean>(() => {});
    }
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    if (!existsSync(`${place}/inside`)) throw new Error("somebody else was inside");
    rmdirSync(`${place}/inside`);
    state.guard.release();
    return recovered as boolean;
  }, place);
}

async function end(peer: Peer, turns: ReadonlyMap<Peer, Promise<boolean>>): Promise<void> {
  turns.get(peer)!.catch(() => {});
  await peer.kill();
}

/** The file as a holder leaves it that is killed. */
async function leaveTraces(peer: Peer, path: string): Promise<void> {
  await peer.run(async ({ SingleInstance }, state) => void (state.guard = await SingleInstance.acquire("rush")));
  const bytes = readFileSync(path);
  await peer.run((_api, { guard }) => guard.release());
  writeFileSync(path, bytes, { mode: 0o600 });
}
