/** The end of what holds a guard: of the variable, of the Worker, and of the process in every way a runtime has. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { WAYS } from "./exit/ways.ts";

/** Not a bell: who waits has one. */
const isSegment = (name: string): boolean => !name.startsWith("b.");

const program = (name: string): string => new URL(`./guard/${name}.ts`, import.meta.url).pathname;
const GC_FLAGS: Readonly<Record<RuntimeName, readonly string[]>> = {
  deno: ["--v8-flags=--expose-gc"],
  bun: [],
  node: ["--expose-gc"],
};
/** See workers.test.ts. */
const WORKER_FLAGS = { deno: [], bun: [], node: ["--no-concurrent-recompilation"] } as const;

/** A peer in the runtime after this one. */
function otherRuntime(runtime: RuntimeName): RuntimeName {
  return RUNTIMES[(RUNTIMES.indexOf(runtime) + 1) % RUNTIMES.length]!;
}

describe.concurrent("guard and exit", () => {
  for (const runtime of RUNTIMES) {
    const other = otherRuntime(runtime);

    it(`a guard in ${runtime} is free after every way to end, and tells of a crash when it was a signal`, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(other, { directory: directory.path });
      await witness.run(({ SingleInstance }, state) => void (state.waited = SingleInstance.tryAcquire("waited")));
      for (const [way, traits] of Object.entries(WAYS)) {
        if ("only" in traits && traits.only !== runtime) continue;
        await using ending = new Program(runtime, program("ends"), { directory: directory.path, args: [way] });
        expect(await ending.line(), way).toBe("ready false");
        const waiting = witness.run(async ({ SingleInstance }) => {
          const guard = await SingleInstance.acquire("held", { timeout: Infinity });
          guard.release();
          return guard.recovered;
        });
        const running = await witness.run(async ({ SingleInstance }) => (await SingleInstance.connect("held")).info.pid);
        expect(running, way).toBe(ending.pid);
        if ("signal" in traits) ending.child.kill(traits.signal);
        else ending.say();
        expect(await ending.exited(), `${way}: ${ending.stderr}`).toBe("signal" in traits ? traits.signal : traits.code);
        // The clean-up runs, or the kernel frees it and the next one is told; once.
        expect(await waiting, way).toBe(!traits.orderly);
        expect(directory.entries().filter(isSegment), way).toEqual(["i-waited"]);
      }
      // The guard that they waited for was never theirs.
      const recovered = await witness.run(({ SingleInstance }, { waited }) => {
        waited.release();
        const guard = SingleInstance.tryAcquire("waited")!;
        guard.release();
        return guard.recovered;
      });
      expect(recovered).toBe(false);
      expect(directory.entries()).toEqual([]);
    });

    it(`a program in ${runtime} that acquires and ends, ends with status 0, and the name is free`, async () => {
      using directory = testDirectory();
      for (let i = 0; i < 2; i++) {
        await using ending = new Program(runtime, program("alone"), { directory: directory.path, args: ["hold"] });
        expect(await ending.line()).toBe("holding false false");
        expect(await ending.exited(), ending.stderr).toBe(0);
        expect(directory.entries()).toEqual([]);
      }
    });

    it(`acquire() and connect() keep a program in ${runtime} alive while they wait, and not with \`ref: false\``, async () => {
      using directory = testDirectory();
      const start = (what: string): Program => {
        return new Program(runtime, program("alone"), { directory: directory.path, args: [what] });
      };
      await using witness = await Peer.start(other, { directory: directory.path });
      await witness.run(({ SingleInstance }, state) => void (state.guard = SingleInstance.tryAcquire("waited")));
      await using waiter = start("wait");
      await using looker = start("connect");
      for (const { line } of [waiter, looker].map((one) => ({ line: one.line() }))) expect(await line).toBe("waiting");
      // The whole lives of others pass meanwhile: nothing but their waits keep the first two alive.
      for (const what of ["wait without ref", "connect without ref"]) {
        await using ending = start(what);
        expect(await ending.line()).toBe("waiting");
        expect(await ending.exited(), `${what}: ${ending.stderr}`).toBe(0);
        await expect(ending.line()).rejects.toThrow("It ended");
      }
      expect([waiter.child.exitCode, looker.child.exitCode]).toEqual([null, null]);
      await witness.run(({ SingleInstance }, state) => {
        state.guard.release();
        state.later = SingleInstance.tryAcquire("later");
      });
      expect(await waiter.line()).toBe("got");
      expect(await waiter.exited(), waiter.stderr).toBe(0);
      expect(await looker.line()).toBe(`found ${witness.pid}`);
      expect(await looker.exited(), looker.stderr).toBe(0);
      await witness.run((_api, { later }) => later.release());
      expect(directory.entries()).toEqual([]);
    });

    it(`a guard in ${runtime} still guards when its variable was collected`, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(other, { directory: directory.path });
      await using holder = new Program(runtime, program("collected"), {
        directory: directory.path,
        flags: GC_FLAGS[runtime],
      });
      const [, gone] = (await holder.line()).split(" ");
      expect(Number(gone)).toBeGreaterThan(10);
      const seen = await witness.run(async ({ SingleInstance }) => {
        const names = Array.from({ length: 20 }, (_, i) => `collected-${i}`);
        return await Promise.all(names.map(async (name) => {
          const tried = SingleInstance.tryAcquire(name);
          const { pid, data } = (await SingleInstance.connect(name)).info;
          return { free: tried !== undefined, pid, data };
        }));
      });
      expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => ({ free: false, pid: holder.pid, data: i })));
      holder.say();
      expect(await holder.exited(), holder.stderr).toBe(0);
      expect(directory.entries()).toEqual([]);
    });

    for (const kind of runtime === "node" ? ["thread"] as const : ["thread", "web"] as const) {
      const what = kind === "thread" ? "node:worker_threads" : "Web Workers";
      it(`a guard in one of ${runtime}'s ${what} is held until the process ends, also when it is terminated`, async () => {
        using directory = testDirectory();
        await using witness = await Peer.start(other, { directory: directory.path });
        await using holder = new Program(runtime, program("workers"), {
          directory: directory.path,
          args: [kind],
          flags: WORKER_FLAGS[runtime],
        });
        const tell = async (order: string): Promise<string> => {
          holder.say(order);
          return await holder.line();
        };
        const look = (): Promise<unknown> =>
          witness.run(async ({ SingleInstance }) => {
            const tried = SingleInstance.tryAcquire("mine");
            tried?.release();
            const running = await SingleInstance.connect("mine").catch(() => undefined);
            return { free: tried !== undefined, pid: running?.info.pid ?? null, data: running?.info.data ?? null };
          });
        const held = { free: false, pid: holder.pid, data: "worker" };
        expect(await holder.line()).toBe("up");
        expect(await tell("worker mine")).toBe("holds, recovered false");
        expect(await look()).toEqual(held);
        expect(await tell("main mine")).toBe("refused");
        expect(await tell("worker release")).toBe("released");
        expect(await look()).toEqual({ free: true, pid: null, data: null });
        // The main thread's own excludes the Worker's.
        expect(await tell("main other")).toBe("holds");
        expect(await tell("worker other")).toBe("AlreadyRunningError");
        expect(await tell("worker mine")).toBe("holds, recovered false");
        expect(await tell("terminate")).toBe("terminated true");
        expect(await look()).toEqual(held);
        expect(await tell("main mine")).toBe("refused");
        holder.say("exit");
        expect(await holder.exited(), holder.stderr).toBe(0);
        expect(await look()).toEqual({ free: true, pid: null, data: null });
        expect(directory.entries()).toEqual([]);
      });
    }
  }
});
