/**
 * Directories on several file systems. Mounted and run: ext4, tmpfs, overlay; mounted and refused: FUSE. NFS, SMB and 9p
 * cannot be mounted here: there the kernel's answer is injected.
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { excludesUntilDeath, openIn, wakes } from "../support/meeting.ts";
import { Peer } from "../support/peer.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

interface FileSystem {
  readonly type: string;
  readonly skip: string | undefined;
  /** Mounts it at `at`; `place` is a directory of the test's own, for what it needs. */
  mount(at: string, place: string): void;
}

const mount = (...args: string[]): unknown => execFileSync("mount", args);

const FILE_SYSTEMS: readonly FileSystem[] = [
  {
    type: "ext4",
    skip: SKIPS.ext4,
    mount(at, place) {
      writeFileSync(`${place}/image`, "");
      truncateSync(`${place}/image`, 32 << 20);
      execFileSync("mkfs.ext4", ["-q", `${place}/image`]);
      mount("-o", "loop", `${place}/image`, at);
    },
  },
  { type: "tmpfs", skip: SKIPS.root, mount: (at) => mount("-t", "tmpfs", "-o", "size=32m", "none", at) },
  {
    type: "overlay",
    skip: SKIPS.overlay,
    mount(at, place) {
      for (const name of ["lower", "upper", "work"]) mkdirSync(`${place}/${name}`);
      mount("-t", "overlay", "-o", `lowerdir=${place}/lower,upperdir=${place}/upper,workdir=${place}/work`, "none", at);
    },
  },
];
const FUSE: FileSystem = {
  type: "FUSE",
  skip: SKIPS.fuse,
  mount(at, place) {
    mkdirSync(`${place}/bound`, 0o700);
    execFileSync("bindfs", [`${place}/bound`, at]);
  },
};

/** A directory on a file system of its own. */
function mounted({ mount }: FileSystem): Disposable & { path: string } {
  const place = mkdtempSync(`${tmpdir()}/qshm-mount-`);
  const at = `${place}/at`;
  mkdirSync(at, 0o700);
  mount(at, place);
  const path = `${at}/directory`;
  mkdirSync(path, 0o700);
  return {
    path,
    [Symbol.dispose]() {
      execFileSync("umount", [at]);
      rmSync(place, { recursive: true });
    },
  };
}

/** What comes of making one of each kind. */
function tryAll(peer: Peer): Promise<string[]> {
  return peer.run(({ SharedMemory, SharedValue, SystemSemaphore, SingleInstance }) =>
    [
      () => SharedMemory.create("key", 64),
      () => SharedValue.open("key"),
      () => SystemSemaphore.open("key"),
      () => SingleInstance.tryAcquire("key"),
    ].map((make) => {
      try {
        make()![Symbol.dispose]();
        return "made";
      } catch (error) {
        return String(error);
      }
    })
  );
}

for (const [i, runtime] of RUNTIMES.entries()) {
  const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;

  describe(`file systems, ${runtime} and ${next}`, () => {
    for (const fileSystem of FILE_SYSTEMS) {
      const { type, skip } = fileSystem;
      it.skipIf(skip)(because(`all of it works on ${type}`, skip), async () => {
        using place = mounted(fileSystem);
        await using one = await Peer.start(runtime, { directory: place.path });
        await using two = await Peer.start(next, { directory: place.path });
        expect(await tryAll(one)).toEqual(Array(4).fill("made"));
        for (const peer of [one, two]) await openIn(peer);
        await wakes(one, two);
        await wakes(two, one);
        const values = await one.run(({ SharedValue }, state) => {
          state.value = SharedValue.open("value");
          state.value.set({ from: "one" });
        }).then(() =>
          two.run(({ SharedValue }, state) => {
            state.value = SharedValue.open("value");
            const got = state.value.get();
            state.value.set("from two");
            return got;
          })
        );
        expect(values).toEqual({ from: "one" });
        expect(await one.run((_api, { value }) => value.get())).toBe("from two");
        for (const peer of [one, two]) await peer.run((_api, { value }) => value.close());
        await excludesUntilDeath(one, two, { guard: one.pid, lock: one.pid });
        expect(readdirSync(place.path)).toEqual([]);
        for (const peer of [one, two]) await peer.kill(); // nothing keeps it from being unmounted
      });
    }

    it.skipIf(FUSE.skip)(because("a real FUSE mount is refused, with the reason", FUSE.skip), async () => {
      using place = mounted(FUSE);
      await using peer = await Peer.start(runtime, { directory: place.path });
      for (const result of await tryAll(peer)) {
        expect(result).toMatch(/^UnsupportedPlatformError: .*its directory is on FUSE, where locks or mappings do not hold/);
      }
      expect(readdirSync(place.path)).toEqual([]);
    });

    it.each([
      ["NFS", "0x6969"],
      ["SMB2", "0xfe534d42"],
      ["CIFS", "0xff534d42"],
      ["9p", "0x01021997"],
    ])("%s is refused, by an injected answer of statfs", async (type, magic) => {
      using directory = testDirectory();
      const env = { QSHM_PRETEND: `file system=${magic}` };
      await using peer = await Peer.start(runtime, { directory: directory.path, env, faults: true });
      for (const result of await tryAll(peer)) expect(result).toContain(`its directory is on ${type}, where locks`);
      expect(directory.entries()).toEqual([]);
    });
  });
}
