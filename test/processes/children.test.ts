/** Children inherit no descriptor: what their parent held is free when it is killed, though they live on. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { footprint } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { commandOf, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { stateOf } from "../support/stopped.ts";

const SLEEPER = new URL("./children/sleeper.ts", import.meta.url).pathname;
const CHILDREN: Readonly<Record<string, { command: string; args: readonly string[] }>> = {
  sh: { command: "sh", args: ["-c", "echo up; sleep 1000"] },
  ...Object.fromEntries(RUNTIMES.map((runtime) => [runtime, commandOf(runtime, SLEEPER)])),
};

describe("children", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    for (const [name, { command, args }] of Object.entries(CHILDREN)) {
      it(`a name, its lock and a guard are free when ${runtime} is killed and its child, ${name}, lives on`, async () => {
        using directory = testDirectory();
        const other: RuntimeName = RUNTIMES[(i + 1) % RUNTIMES.length]!;
        await using holder = await Peer.start(runtime, { directory: directory.path });
        await using next = await Peer.start(other, { directory: directory.path });
        await next.run(({ SharedMemory }, state) => void (state.locked = SharedMemory.create("locked", 64)));
        const child = await holder.run(async ({ SharedMemory, SingleInstance }, state, { command, args }) => {
          state.mine = SharedMemory.create("mine", 64);
          state.locked = SharedMemory.attach("locked");
          state.mine.data[0] = 1;
          state.lock = state.locked.lockSync();
          state.guard = SingleInstance.tryAcquire("guard");
          const { spawn } = process.getBuiltinModule("node:child_process");
          const child = spawn(command, args, { detached: true, stdio: ["ignore", "pipe", "ignore"] });
          state.child = child;
          await new Promise((resolve) => child.stdout.once("data", resolve));
          return child.pid as number;
        }, { command, args });
        try {
          expect(footprint(child, directory.path)).toEqual({ descriptors: [], mappings: [] });
          await holder.kill();
          const seen = await next.run(({ SharedMemory, SingleInstance }, { locked }) => {
            const memory = SharedMemory.create("mine", 64);
            const { recovered } = memory;
            memory.detach();
            const guard = SingleInstance.tryAcquire("guard");
            guard?.release();
            return { recovered, ownerDied: locked.tryLock()?.ownerDied, guardRecovered: guard?.recovered };
          });
          expect(seen).toEqual({ recovered: true, ownerDied: true, guardRecovered: true });
          expect(stateOf(child), "the child lives").toBeOneOf(["S", "R", "D"]);
        } finally {
          process.kill(-child, "SIGKILL"); // its process group
        }
        await next.run((_api, { locked }) => locked.detach());
        expect(directory.entries()).toEqual([]);
      });
    }
  }
});
