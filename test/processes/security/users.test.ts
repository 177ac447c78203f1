/** Several users: closed by default, a group by mode, and an ordinary user in the default directory. */

import { chmodSync, chownSync, existsSync, lstatSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { testDirectory } from "../../support/directory.ts";
import { Peer, type PeerOptions } from "../../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../../support/runtimes.ts";
import { because, SKIPS } from "../../support/skips.ts";

const NOBODY = 65534;
const OTHER = 65533;
const GROUP = 65500;

const homes: string[] = [];
afterAll(() => homes.forEach((home) => rmSync(home, { recursive: true, force: true })));

/** A peer of another user; with a home, for what a runtime caches. */
function startAs(uid: number, gid: number, runtime: RuntimeName, options: PeerOptions): Promise<Peer> {
  const home = mkdtempSync(`${tmpdir()}/qshm-home-`);
  homes.push(home);
  chownSync(home, uid, gid);
  return Peer.start(runtime, { ...options, uid, gid, env: { HOME: home, DENO_DIR: home, ...options.env } });
}

describe("users", () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it.skipIf(SKIPS.root)(
      because(`attach() in ${runtime} throws PermissionDeniedError when the segment is another user's`, SKIPS.root),
      async () => {
        using directory = testDirectory();
        await using owner = await Peer.start(next, { directory: directory.path });
        await using stranger = await startAs(NOBODY, NOBODY, runtime, { directory: directory.path });
        await owner.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("key", 64)));
        expect(lstatSync(`${directory.path}/m-key`).mode & 0o7777).toBe(0o600);
        const attempt = (): Promise<string[]> =>
          stranger.run(({ SharedMemory, remove }) =>
            [
              () => SharedMemory.attach("key"),
              () => SharedMemory.attach("key", { readOnly: true }),
              () => SharedMemory.create("key", 64),
              () => remove("memory", "key", { force: true }),
            ].map((call) => {
              try {
                call();
                return "no error";
              } catch (error) {
                return (error as Error).name;
              }
            })
          );
        // Behind a directory that is closed, and with one that lets everybody look.
        expect(await attempt()).toEqual(Array(4).fill("PermissionDeniedError"));
        chmodSync(directory.path, 0o755);
        expect(await attempt()).toEqual(Array(4).fill("PermissionDeniedError"));
        expect(directory.entries()).toEqual(["m-key"]);
        expect(await owner.run((_api, { memory }) => memory.detach())).toBe(true);
        expect(directory.entries()).toEqual([]);
      },
    );

    it.skipIf(SKIPS.root)(
      because(`open() in ${runtime} and ${next} shares between users of a group when \`mode\` is 0o660`, SKIPS.root),
      async () => {
        using directory = testDirectory();
        chownSync(directory.path, 0, GROUP);
        chmodSync(directory.path, 0o770);
        await using one = await startAs(NOBODY, GROUP, runtime, { directory: directory.path });
        await using two = await startAs(OTHER, GROUP, next, { directory: directory.path });
        await one.run(({ SharedMemory }, state) => {
          state.memory = SharedMemory.open("shared", 64, { mode: 0o660 });
          state.closed = SharedMemory.open("closed", 64);
          state.memory.write(Uint8Array.of(1, 2, 3));
          state.lock = state.memory.lockSync();
        });
        const seen = await two.run(({ SharedMemory }, state) => {
          state.memory = SharedMemory.open("shared", 64, { mode: 0o660 });
          let error = "no error";
          try {
            SharedMemory.attach("closed");
          } catch (thrown) {
            error = (thrown as Error).name;
          }
          return {
            created: state.memory.created,
            bytes: [...state.memory.read(0, 3)],
            lock: state.memory.tryLock() ?? null,
            error,
          };
        });
        expect(seen).toEqual({ created: false, bytes: [1, 2, 3], lock: null, error: "PermissionDeniedError" });
        // One dies; the other gets the lock, and the last detach removes another user's file.
        await one.kill();
        const after = await two.run((_api, { memory }) => {
          const { ownerDied } = memory.lockSync();
          return { ownerDied, detached: memory.detach() };
        });
        expect(after).toEqual({ ownerDied: true, detached: true });
        expect(directory.entries()).toEqual(["m-closed"]); // its dead owner's alone
      },
    );

    it.skipIf(SKIPS.root)(
      because(`everything works in ${runtime} in the default directory when an ordinary user runs it`, SKIPS.root),
      async () => {
        const place = `/dev/shm/qshm-${NOBODY}`;
        const existed = existsSync(place);
        try {
          await using one = await startAs(NOBODY, NOBODY, runtime, { directory: "" });
          await using two = await startAs(NOBODY, NOBODY, next, { directory: "" });
          const key = `smoke-${process.pid}`;
          await one.run(({ SharedMemory }, state, key) => {
            state.memory = SharedMemory.create(key, 64);
            state.memory.data.set([7]);
            state.lock = state.memory.lockSync();
          }, key);
          const { mode, uid } = lstatSync(place);
          expect({ mode: mode & 0o7777, uid }).toEqual({ mode: 0o700, uid: NOBODY });
          const seen = await two.run(async ({ SharedMemory, list }, state, key) => {
            state.memory = SharedMemory.attach(key);
            const { pid } = state.memory.lockOwner;
            const listed = list().find((info) => info.key === key);
            return { byte: state.memory.data[0], pid, attached: listed?.attached.map(({ pid }) => pid) };
          }, key);
          expect(seen.byte).toBe(7);
          expect(seen.pid).toBe(one.pid);
          expect(seen.attached?.toSorted()).toEqual([one.pid, two.pid].toSorted());
          const waiting = two.run(async (_api, { memory }) => (await memory.lock()).ownerDied as boolean);
          await one.kill();
          expect(await waiting).toBe(true);
          expect(await two.run((_api, { memory }) => memory.detach())).toBe(true);
          expect(existsSync(`${place}/m-${key}`)).toBe(false);
        } finally {
          if (!existed) rmSync(place, { recursive: true, force: true });
        }
      },
    );
  }
});
