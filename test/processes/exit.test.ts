/** The end of a process, in every way a runtime has: what is left, and what others are told. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { Program } from "../support/program.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { WAYS } from "./exit/ways.ts";

/** Not a bell: who waits has one. */
const isSegment = (name: string): boolean => !name.startsWith("b.");

const PROGRAM = new URL("./exit/program.ts", import.meta.url).pathname;
const ALONE = new URL("./exit/alone.ts", import.meta.url).pathname;
const COMPILING = new URL("./exit/compiling.ts", import.meta.url).pathname;
const COLLECTED = new URL("./exit/collected.ts", import.meta.url).pathname;
const GC_FLAGS: Readonly<Record<RuntimeName, readonly string[]>> = {
  deno: ["--v8-flags=--expose-gc"],
  bun: [],
  node: ["--expose-gc"],
};

/** A peer in the runtime after this one. */
function otherRuntime(runtime: RuntimeName): RuntimeName {
  return RUNTIMES[(RUNTIMES.indexOf(runtime) + 1) % RUNTIMES.length]!;
}

describe.concurrent("exit", () => {
  for (const runtime of RUNTIMES) {
    for (const [way, traits] of Object.entries(WAYS)) {
      if ("only" in traits && traits.only !== runtime) continue;
      const left = traits.orderly ? "leaves nothing at once" : "leaves nothing after the next create()";
      it(`${way} in ${runtime} ${left}, and tells ownerDied, when it holds a lock and waits for another`, async () => {
        using directory = testDirectory();
        await using witness = await Peer.start(otherRuntime(runtime), { directory: directory.path });
        await witness.run(({ SharedMemory }, state) => {
          state.locked = SharedMemory.create("locked", 64);
          state.waited = SharedMemory.create("waited", 64);
          state.lock = state.waited.lockSync();
        });
        await using program = new Program(runtime, PROGRAM, { directory: directory.path, args: [way] });
        expect(await program.line()).toBe("ready");
        const waiting = witness.run(async (_api, { locked }) => {
          const lock = await locked.lock();
          lock.unlock();
          return { ownerDied: lock.ownerDied as boolean, byte: locked.data[0] as number };
        });
        if ("signal" in traits) program.child.kill(traits.signal);
        else program.say();
        const ended = await program.exited();
        expect(ended, program.stderr).toBe("signal" in traits ? traits.signal : traits.code);
        expect(await waiting).toEqual({ ownerDied: true, byte: 1 });
        if (traits.orderly) expect(directory.entries().filter(isSegment)).toEqual(["m-locked", "m-waited"]);
        const recovered = await witness.run(({ SharedMemory }, state) => {
          const memory = SharedMemory.create("attached", 64);
          const { recovered } = memory;
          memory.detach();
          // The lock that the program waited for was never its own.
          state.lock.unlock();
          const { ownerDied } = state.waited.lockSync();
          state.waited.detach();
          state.locked.detach();
          return { recovered, ownerDied };
        });
        expect(recovered).toEqual({ recovered: !traits.orderly, ownerDied: false });
        expect(directory.entries()).toEqual([]);
      });
    }

    it(`a program in ${runtime} ends by itself when it is attached and holds a lock`, async () => {
      using directory = testDirectory();
      await using program = new Program(runtime, ALONE, { directory: directory.path, args: ["hold"] });
      expect(await program.line()).toBe("holding");
      expect(await program.exited(), program.stderr).toBe(0);
      expect(directory.entries()).toEqual([]);
    });

    it(`lock() keeps a program in ${runtime} alive while it is pending, and does not with \`ref: false\``, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(otherRuntime(runtime), { directory: directory.path });
      await witness.run(({ SharedMemory }, state) => {
        state.waited = SharedMemory.create("waited", 64);
        state.lock = state.waited.lockSync();
      });
      await using program = new Program(runtime, ALONE, { directory: directory.path, args: ["wait"] });
      expect(await program.line()).toBe("waiting");
      // The whole life of the other one passes meanwhile: nothing but its wait keeps the first alive.
      await using other = new Program(runtime, ALONE, { directory: directory.path, args: ["wait without ref"] });
      expect(await other.line()).toBe("waiting");
      expect(await other.exited(), other.stderr).toBe(0);
      await expect(other.line()).rejects.toThrow("It ended");
      expect(program.child.exitCode).toBe(null);
      await witness.run((_api, { lock }) => lock.unlock());
      expect(await program.line()).toBe("got");
      expect(await program.exited(), program.stderr).toBe(0);
      await witness.run((_api, { waited }) => waited.detach());
      expect(directory.entries()).toEqual([]);
    });

    it(`a segment in ${runtime} stays attached and locked when its variable was collected`, async () => {
      using directory = testDirectory();
      await using witness = await Peer.start(otherRuntime(runtime), { directory: directory.path });
      await using program = new Program(runtime, COLLECTED, { directory: directory.path, flags: GC_FLAGS[runtime] });
      const [, gone] = (await program.line()).split(" ");
      expect(Number(gone)).toBeGreaterThan(10);
      const seen = await witness.run(({ SharedMemory, inspect }, state) => {
        const info = inspect("memory", "collected");
        state.memory = SharedMemory.attach("collected");
        return {
          attached: info?.attached.map(({ pid }) => pid),
          owner: info?.lockOwner?.pid,
          locked: state.memory.tryLock() === undefined,
          byte: state.memory.data[0],
          decoys: Array.from({ length: 20 }, (_, i) => inspect("memory", `decoy-${i}`)?.state),
        };
      });
      expect(seen).toEqual({
        attached: [program.pid],
        owner: program.pid,
        locked: true,
        byte: 42,
        decoys: Array(20).fill("live"),
      });
      program.say();
      expect(await program.exited(), program.stderr).toBe(0);
      await witness.run((_api, { memory }) => memory.detach());
      expect(directory.entries()).toEqual([]);
    });
  }

  describe.skipIf(!RUNTIMES.includes("node"))("while V8 compiles calls into the library", () => {
    const env = { MALLOC_PERTURB_: "165" }; // what is freed is not by chance as it was

    it("a program ends in order", async () => {
      using directory = testDirectory();
      for (let i = 0; i < 20; i++) { // without what the adapter does, one in two crashes
        await using program = new Program("node", COMPILING, { directory: directory.path, env });
        expect(await program.exited(), program.stderr).toBe(0);
      }
      expect(directory.entries()).toEqual([]);
    });

    it("a Worker ends in order", async () => {
      using directory = testDirectory();
      await using program = new Program("node", COMPILING, { directory: directory.path, env, args: ["workers"] });
      expect(await program.exited(), program.stderr).toBe(0);
      expect(directory.entries()).toEqual([]);
    });
  });
});
