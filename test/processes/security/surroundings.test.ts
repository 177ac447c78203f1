/** What happens around a segment: a full file system, a removal from outside; and what the trace says of it all. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../../support/directory.ts";
import { Peer } from "../../support/peer.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { because, SKIPS } from "../../support/skips.ts";

/** A small file system of its own. */
function mounted(path: string, options: string): Disposable {
  mkdirSync(path, 0o700);
  execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,${options}`, "none", path]);
  return { [Symbol.dispose]: () => void execFileSync("umount", ["-l", path]) };
}

describe("surroundings", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it.skipIf(SKIPS.root)(
      because(
        `create() in ${runtime} throws OutOfResourcesError and leaves nothing when the file system is full`,
        SKIPS.root,
      ),
      async () => {
        using directory = testDirectory();
        const path = `${directory.path}/small`;
        using _mount = mounted(path, "size=64k");
        await using peer = await Peer.start(runtime, { directory: path });
        const create = (size: number): Promise<string> =>
          peer.run(({ SharedMemory }, _state, size) => {
            try {
              return SharedMemory.create("key", size).detach() ? "done" : "was detached";
            } catch (error) {
              return (error as Error).name;
            }
          }, size);
        expect(await create(1 << 20)).toBe("OutOfResourcesError");
        expect(await create(2 ** 40)).toBe("OutOfResourcesError");
        expect(readdirSync(path)).toEqual([]);
        expect(await create(16384)).toBe("done");
        writeFileSync(`${path}/fill`, new Uint8Array(60 * 1024)); // one page is left
        expect(await create(1)).toBe("OutOfResourcesError");
        expect(readdirSync(path)).toEqual(["fill"]);
        rmSync(`${path}/fill`);
        expect(await create(1)).toBe("done");
        expect(readdirSync(path)).toEqual([]);
      },
    );

    it.skipIf(SKIPS.root)(
      because(`create() in ${runtime} throws OutOfResourcesError when the file system has no inodes left`, SKIPS.root),
      async () => {
        using directory = testDirectory();
        const path = `${directory.path}/small`;
        using _mount = mounted(path, "size=1m,nr_inodes=2");
        await using peer = await Peer.start(runtime, { directory: path });
        writeFileSync(`${path}/fill`, "");
        await expect(peer.run(({ SharedMemory }) => void SharedMemory.create("key", 1))).rejects.toMatchObject({
          name: "OutOfResourcesError",
        });
        rmSync(`${path}/fill`);
        expect(await peer.run(({ SharedMemory }) => SharedMemory.create("key", 1).detach())).toBe(true);
      },
    );

    it(`detach() in ${runtime} and ${next} spares a new segment when the file was removed from outside`, async () => {
      using directory = testDirectory();
      const path = `${directory.path}/m-key`;
      await using one = await Peer.start(runtime, { directory: directory.path });
      await using two = await Peer.start(next, { directory: directory.path });
      await using three = await Peer.start(runtime, { directory: directory.path });
      await one.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("key", 64)));
      await two.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.attach("key")));
      rmSync(path);
      expect(await three.run(({ SharedMemory }) => SharedMemory.tryAttach("key") ?? "none")).toBe("none");
      expect(await three.run(({ SharedMemory }, state) => (state.memory = SharedMemory.create("key", 64)).created))
        .toBe(true);
      // The old one works still, between those who have it.
      await one.run((_api, state) => {
        state.memory.write(Uint8Array.of(42));
        state.lock = state.memory.lockSync();
      });
      const seen = await two.run((_api, { memory }) => [memory.read(0, 1)[0], memory.tryLock() === undefined]);
      expect(seen).toEqual([42, true]);
      expect(await three.run((_api, { memory }) => [memory.read(0, 1)[0], memory.tryLock() === undefined])).toEqual([
        0,
        false,
      ]);
      expect(await one.run((_api, { memory }) => memory.detach())).toBe(true);
      expect(existsSync(path)).toBe(true);
      expect(await two.run((_api, { memory }) => memory.detach())).toBe(true);
      expect(existsSync(path)).toBe(true);
      expect(await two.run(({ SharedMemory }) => SharedMemory.attach("key").detach())).toBe(true);
      expect(await three.run((_api, { memory }) => memory.detach())).toBe(true);
      expect(directory.entries()).toEqual([]);
    });

    it(`stderr of ${runtime} says what was decided when QSHM_DEBUG=1, and nothing otherwise`, async () => {
      using directory = testDirectory();
      await using quiet = await Peer.start(next, { directory: directory.path });
      await using loud = await Peer.start(runtime, { directory: directory.path, env: { QSHM_DEBUG: "1" } });
      await loud.run(({ SharedMemory }, state) => void (state.shared = SharedMemory.create("shared", 64)));
      await quiet.run(({ SharedMemory }, state) => {
        state.left = SharedMemory.create("left", 64);
        state.shared = SharedMemory.attach("shared");
        state.shared.lockSync();
      });
      await quiet.kill();
      expect(quiet.stderr).toBe("");
      await loud.run(({ SharedMemory }, { shared }) => {
        shared.tryLock().unlock();
        SharedMemory.open("left", 64).detach();
        SharedMemory.attach("shared").detach();
        shared.detach();
      });
      await loud.end();
      const lines = loud.stderr.split("\n").filter((line) => line !== "");
      for (const line of lines) expect(line).toMatch(new RegExp(`^qshm\\[${loud.pid}\\] `));
      const at = directory.path;
      const said = (text: string): void => expect(loud.stderr, text).toContain(text);
      said(`created ${at}/m-shared, 64 bytes, as id 1`);
      said("took the lock of m-shared over from id 2, which is dead");
      said(`reclaimed ${at}/m-left: nobody who used it is alive`);
      said(`created ${at}/m-left, 64 bytes`);
      said("removed m-left: its last user detached");
      said(`attached ${at}/m-shared as id 3`);
      said("removed m-shared: its last user detached");
    });
  }
});
