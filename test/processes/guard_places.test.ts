/** Where a guard cannot guard it throws, and nobody runs unguarded; and it says when its file was removed. */

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";

const NOBODY = 65534;

interface Place {
  readonly what: string;
  /** The error's name and message. */
  readonly error: RegExp;
  /** Needs root, and makes the process another user's. */
  readonly root?: boolean;
  readonly user?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Makes it; gives how to undo what the removal of the directory does not. */
  make?(path: string): (() => void) | void;
  /** Makes it usable; then the guard can be had. */
  mend?(path: string): void;
}

function mount(path: string, options: string): () => void {
  mkdirSync(path, 0o700);
  execFileSync("mount", ["-t", "tmpfs", "-o", `mode=0700,${options}`, "none", path]);
  return () => void execFileSync("umount", ["-l", path]);
}

/** Something else at the guard's name. */
const atName = (make: (path: string) => void) => (path: string): void => {
  mkdirSync(path, 0o700);
  make(`${path}/i-key`);
};
const mendName = (path: string): void => rmSync(`${path}/i-key`, { recursive: true });

const PLACES: readonly Place[] = [
  { what: "is missing", error: /^QshmError: .*does not exist/, mend: (path) => mkdirSync(path, 0o700) },
  { what: "is a file", error: /^PermissionDeniedError: .*is a file/, make: (path) => writeFileSync(path, "mine") },
  {
    what: "is open to others",
    error: /^PermissionDeniedError: .*open to others/,
    make: (path) => {
      mkdirSync(path);
      chmodSync(path, 0o777);
    },
    mend: (path) => chmodSync(path, 0o700),
  },
  {
    what: "may only be read",
    error: /^PermissionDeniedError: /,
    root: true,
    user: NOBODY,
    make: (path) => {
      mkdirSync(path);
      chownSync(path, NOBODY, NOBODY);
      chmodSync(path, 0o500);
    },
    mend: (path) => chmodSync(path, 0o700),
  },
  {
    what: "belongs to another user",
    error: /^PermissionDeniedError: /,
    root: true,
    user: NOBODY,
    make: (path) => mkdirSync(path, 0o700),
    mend: (path) => chownSync(path, NOBODY, NOBODY),
  },
  {
    what: "is on a file system that is mounted read-only",
    error: /^\w*Error: .*(read-only|EROFS)/i,
    root: true,
    make: (path) => {
      const undo = mount(path, "size=1m");
      execFileSync("mount", ["-o", "remount,ro", path]);
      return undo;
    },
    mend: (path) => void execFileSync("mount", ["-o", "remount,rw", path]),
  },
  {
    what: "is on a file system that is full",
    error: /^OutOfResourcesError: /,
    root: true,
    make: (path) => {
      const undo = mount(path, "size=512k");
      writeFileSync(`${path}/fill`, new Uint8Array(500 * 1024)); // less is left than a guard needs
      return undo;
    },
    mend: (path) => rmSync(`${path}/fill`),
  },
  {
    what: "is on a file system without inodes left",
    error: /^OutOfResourcesError: /,
    root: true,
    make: (path) => {
      const undo = mount(path, "size=1m,nr_inodes=2");
      writeFileSync(`${path}/fill`, "");
      return undo;
    },
    mend: (path) => rmSync(`${path}/fill`),
  },
  {
    what: "is on NFS",
    error: /^UnsupportedPlatformError: .*is on NFS/,
    env: { QSHM_PRETEND: "file system=0x6969" },
    make: (path) => mkdirSync(path, 0o700),
  },
  {
    what: "is where locks do nothing",
    error: /^UnsupportedPlatformError: .*locks do not work/,
    env: { QSHM_PRETEND: "lock query=0" },
    make: (path) => mkdirSync(path, 0o700),
  },
  {
    what: "has a link at the name",
    error: /^PermissionDeniedError: .*is a symbolic link/,
    make: atName((path) => symlinkSync("/nothing", path)),
    mend: mendName,
  },
  {
    what: "has a FIFO at the name",
    error: /^PermissionDeniedError: .*is a FIFO/,
    make: atName((path) => void execFileSync("mkfifo", ["-m", "600", path])),
    mend: mendName,
  },
  {
    what: "has a directory at the name",
    error: /^PermissionDeniedError: .*is a directory/,
    make: atName((path) => mkdirSync(path)),
    mend: mendName,
  },
];

const homes: string[] = [];
afterAll(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** What another user's process needs; a home, for what a runtime caches. */
function as(user: number | undefined): { uid?: number; gid?: number; env: Record<string, string> } {
  if (user === undefined) return { env: {} };
  const home = mkdtempSync(`${tmpdir()}/qshm-home-`);
  homes.push(home);
  chownSync(home, user, user);
  return { uid: user, gid: user, env: { HOME: home, DENO_DIR: home } };
}

/** Each way to ask for the guard, and what came of it. The one that waits for ever must not wait for this. */
function askAll(peer: Peer): Promise<Record<string, string>> {
  return peer.run(async ({ SingleInstance }) => {
    const calls = {
      tryAcquire: () => SingleInstance.tryAcquire("key"),
      acquire: () => SingleInstance.acquire("key"),
      waiting: () => SingleInstance.acquire("key", { timeout: Infinity }),
    };
    const results: Record<string, string> = {};
    for (const [name, call] of Object.entries(calls)) {
      try {
        const guard = await call();
        results[name] = guard === undefined ? "refused" : "holds";
        guard?.release();
      } catch (error) {
        results[name] = `${(error as Error).name}: ${(error as Error).message}`;
      }
    }
    return results;
  });
}

describe("guard and places", () => {
  for (const runtime of RUNTIMES) {
    for (const { what, error, root, user, env, make, mend } of PLACES) {
      const skip = root ? SKIPS.root : undefined;
      it.skipIf(skip)(because(`a guard in ${runtime} throws when its directory ${what}`, skip), async () => {
        using place = testDirectory();
        if (user !== undefined) chmodSync(place.path, 0o755);
        const path = `${place.path}/directory`;
        const undo = make?.(path);
        try {
          const { uid, gid, env: home } = as(user);
          await using peer = await Peer.start(runtime, {
            directory: path,
            env: { ...home, ...env },
            faults: env !== undefined,
            ...(uid !== undefined && gid !== undefined && { uid, gid }),
          });
          const refused = await askAll(peer);
          for (const result of Object.values(refused)) expect(result).toMatch(error);
          if (mend === undefined) return;
          mend(path);
          expect(await askAll(peer)).toEqual({ tryAcquire: "holds", acquire: "holds", waiting: "holds" });
          expect(readdirSync(path)).toEqual([]);
        } finally {
          undo?.();
        }
      });
    }

    it(`a guard in ${runtime} throws when there is no library`, async () => {
      using directory = testDirectory();
      await using peer = await Peer.start(runtime, {
        directory: directory.path,
        env: { QSHM_LIBRARY: `${directory.path}/none.so` },
      });
      for (const result of Object.values(await askAll(peer))) expect(result).toMatch(/^LibraryError: .*none\.so/);
      expect(directory.entries()).toEqual([]);
    });

    for (const how of ["removed", "replaced", "moved away"] as const) {
      it(`\`lost\` in ${runtime} fires when the guard's file is ${how} from outside, and not before`, async () => {
        using directory = testDirectory();
        const path = `${directory.path}/i-key`;
        await using holder = await Peer.start(runtime, { directory: directory.path });
        await holder.run(({ SingleInstance }, state) => {
          state.guard = SingleInstance.tryAcquire("key");
          state.kept = SingleInstance.tryAcquire("kept");
          state.events = [];
          for (const name of ["guard", "kept"]) {
            state[name].lost.addEventListener("abort", () => state.events.push(name));
          }
        });
        const lost = (): Promise<unknown> =>
          holder.run((_api, { guard, kept, events }) => ({ lost: [guard.lost.aborted, kept.lost.aborted], events }));
        expect(await lost()).toEqual({ lost: [false, false], events: [] });
        if (how === "removed") {
          rmSync(path);
        } else if (how === "moved away") {
          renameSync(path, `${directory.path}/away`);
        } else {
          writeFileSync(`${path}-new`, "", { mode: 0o600 });
          renameSync(`${path}-new`, path);
        }
        const reason = await holder.run(async (_api, { guard }) => {
          while (!guard.lost.aborted) await new Promise((resolve) => guard.lost.addEventListener("abort", resolve));
          return { code: guard.lost.reason.code, message: guard.lost.reason.message };
        });
        expect(reason).toMatchObject({ code: "GuardLost", message: expect.stringContaining(path) });
        expect(await lost()).toEqual({ lost: [true, false], events: ["guard"] });
        await holder.run((_api, { guard, kept }) => {
          guard.release();
          kept.release();
        });
        expect(existsSync(path)).toBe(how === "replaced");
      });
    }
  }

  it("those who wait when the file is removed get the guard of the name, one at a time", async () => {
    using directory = testDirectory();
    const path = `${directory.path}/i-key`;
    const peers = await Promise.all(RUNTIMES.map((runtime) => Peer.start(runtime, { directory: directory.path })));
    const startWaiting = (peer: Peer): Promise<void> =>
      peer.run(({ SingleInstance }, state) => {
        state.got = false;
        state.waiting = SingleInstance.acquire("key", { timeout: Infinity }).then((guard) => {
          state.got = true;
          state.guard = guard;
        });
      });
    const got = (peer: Peer): Promise<boolean> => peer.run((_api, { got }) => got as boolean);
    try {
      for (const [i, first] of peers.entries()) {
        const others = [peers[(i + 1) % peers.length]!, peers[(i + 2) % peers.length]!];
        await first.run(({ SingleInstance }, state) => void (state.guard = SingleInstance.tryAcquire("key")));
        // One is there already, one comes when there is no file any more.
        await startWaiting(others[0]!);
        rmSync(path);
        await startWaiting(others[1]!);
        while (!await got(others[0]!)) if (await got(others[1]!)) others.reverse();
        const [holder, waiter] = others as [Peer, Peer];
        await first.run((_api, { guard }) => guard.release());
        expect(existsSync(path), "the new holder's file stays").toBe(true);
        const refused = await first.run(({ SingleInstance }) =>
          SingleInstance.acquire("key", { timeout: 100 }).then(() => "holds", ({ name, pid }) => [name, pid])
        );
        expect(refused).toEqual(["AlreadyRunningError", holder.pid]);
        expect(await got(waiter)).toBe(false);
        await holder.run((_api, { guard }) => guard.release());
        const recovered = await waiter.run(async (_api, state) => {
          await state.waiting;
          state.guard.release();
          return state.guard.recovered as boolean;
        });
        expect(recovered).toBe(false);
        expect(directory.entries()).toEqual([]);
      }
    } finally {
      await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()));
    }
  });
});
