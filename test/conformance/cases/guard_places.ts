/** Where a guard's file is: directories that are odd or refused, and files that are removed from outside. */

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { inspect, list, PermissionDeniedError, QshmError, SingleInstance } from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, refusalOf, rejectionOf, until } from "../helpers.ts";
import { startPeer } from "../peers.ts";

function hold(name: string, directory?: string): SingleInstance {
  const guard = SingleInstance.tryAcquire(name, directory === undefined ? {} : { directory });
  assert.ok(guard !== undefined);
  return guard;
}

const pathOf = (name: string): string => inspect("instance", name)!.path;

/** What holding a guard there, or asking who does, fails with. It must never run unguarded. */
async function refusals(directory: string, name = "a"): Promise<QshmError[]> {
  const errors = [
    errorOf(() => SingleInstance.tryAcquire(name, { directory })),
    await rejectionOf(SingleInstance.acquire(name, { directory })),
    await rejectionOf(SingleInstance.acquire(name, { directory, timeout: 60_000 })),
    await rejectionOf(SingleInstance.connect(name, { directory })),
    await rejectionOf(SingleInstance.connect(name, { directory, timeout: 60_000 })),
  ];
  for (const error of errors) {
    assert.ok(error instanceof QshmError, `${error}`);
    assert.equal(error.key, name);
  }
  return errors as QshmError[];
}

export const guardPlaces: Suite = {
  name: "guard places",
  cases: [
    {
      name: "directory that does not exist: an error with the code DirectoryNotFound",
      async run() {
        for (const directory of ["/nonexistent", "/nonexistent/a/b", "nonexistent"]) {
          for (const error of await refusals(directory)) {
            assert.equal(error.code, "DirectoryNotFound");
            assert.match(error.message, /instance "a": its directory does not exist \(.*nonexistent.*\); create the/);
          }
        }
      },
    },
    {
      name: "errors say what was tried: to acquire, or to connect to, an instance",
      async run() {
        const errors = await refusals("/nonexistent");
        const tried = ["acquire", "acquire", "acquire", "connect to", "connect to"];
        assert.deepEqual(errors.map(({ operation }) => operation), tried);
        errors.forEach(({ message }, i) => assert.ok(message.startsWith(`Cannot ${tried[i]} instance "a": `), message));
      },
    },
    {
      name: "directory of a path that is too long: an error of the library",
      async run() {
        for (const length of [4200, 5000, 100_000]) {
          for (const error of await refusals("/d".repeat(length / 2))) {
            assert.ok(error.code === "DirectoryNotFound" || error.errno === 36, `${length}: ${error.code}`);
          }
        }
      },
    },
    {
      name: "directory that is a file, a link, or open to others: PermissionDeniedError that says so",
      needs: "system",
      async run() {
        using place = testDirectory();
        writeFileSync(`${place.path}/file`, "");
        mkdirSync(`${place.path}/real`, { mode: 0o700 });
        symlinkSync(`${place.path}/real`, `${place.path}/link`);
        mkdirSync(`${place.path}/open`);
        chmodSync(`${place.path}/open`, 0o1777);
        for (
          const [name, message] of [
            ["file", /its directory is a file/],
            ["link", /its directory is a symbolic link/],
            ["open", /its directory is open to others \(mode 1777\)/],
          ] as const
        ) {
          for (const error of await refusals(`${place.path}/${name}`)) {
            assert.ok(error instanceof PermissionDeniedError, `${error}`);
            assert.match(error.message, message);
          }
        }
        for (const error of await refusals(`${place.path}/file/below`)) assert.notEqual(error.code, "NotRunning");
      },
    },
    {
      name: "directory that cannot be written: PermissionDeniedError, and nothing is held",
      needs: "system",
      async run() {
        using place = testDirectory();
        const directory = `${place.path}/closed`;
        mkdirSync(directory, { mode: 0o500 });
        // Root may write it all the same.
        const somebody = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
        if (somebody.uid !== undefined) {
          chmodSync(place.path, 0o711);
          chownSync(directory, somebody.uid, somebody.gid);
        }
        await using peer = await startPeer(somebody);
        const names = await peer.run(async ({ SingleInstance }, _, directory) => {
          const outcome = (promise: Promise<unknown>): Promise<string> =>
            promise.then(() => "held", ({ name, message }) => `${name}: ${message}`);
          return await Promise.all([
            outcome(SingleInstance.acquire("a", { directory })),
            outcome(SingleInstance.acquire("a", { directory, timeout: 60_000 })),
            outcome((async () => SingleInstance.tryAcquire("a", { directory }))()),
            outcome(SingleInstance.connect("a", { directory })),
          ]);
        }, directory);
        for (const name of names.slice(0, 3)) {
          assert.match(name, /^PermissionDeniedError: Cannot .* instance "a": .*closed/);
        }
        assert.match(names[3]!, /^NotRunningError: /);
      },
    },
    {
      name: "directory whose path has 200 characters, of all scripts: everything works, and messages name it",
      needs: "system",
      async run() {
        using place = testDirectory();
        const parts = `${place.path}/${"ä b".repeat(10)}/日本 🦕 %41/`;
        const directory = parts + "d".repeat(200 - parts.length);
        assert.equal(directory.length, 200);
        mkdirSync(directory, { recursive: true, mode: 0o700 });
        const name = "n".repeat(10_000);
        using guard = hold(name, directory);
        assert.equal(SingleInstance.tryAcquire(name, { directory }), undefined);
        const { pid } = await refusalOf(SingleInstance.acquire(name, { directory, timeout: 20 }));
        assert.equal(pid, process.pid);
        using running = await SingleInstance.connect(name, { directory: `${directory}/` });
        assert.equal(running.info.pid, process.pid);
        const [info] = list({ directory });
        assert.ok(info!.path.startsWith(`${directory}/i-nnn`));
        assert.equal(guard.lost.aborted, false);
        unlinkSync(info!.path);
        using other = hold(name, directory);
        assert.equal(other.recovered, false);
      },
    },
    {
      name: "what stands at the name and is no file of ours is refused, and stays",
      needs: "system",
      async run() {
        using place = testDirectory();
        const target = `${place.path}/target`;
        writeFileSync(target, "precious");
        symlinkSync(target, `${place.path}/i-link`);
        mkdirSync(`${place.path}/i-directory`);
        writeFileSync(`${place.path}/i-twice`, "");
        linkSync(`${place.path}/i-twice`, `${place.path}/elsewhere`);
        writeFileSync(`${place.path}/i-open`, "");
        chmodSync(`${place.path}/i-open`, 0o666);
        const before = place.entries();
        for (
          const [name, what] of [
            ["link", /is a symbolic link/],
            ["directory", /is a directory/],
            ["twice", /has 2 hard links/],
            ["open", /is open to others \(mode 0666\)/],
          ] as const
        ) {
          for (const error of await refusals(place.path, name)) {
            assert.ok(error instanceof PermissionDeniedError, `${error}`);
            assert.match(error.message, what);
          }
        }
        assert.deepEqual(place.entries(), before);
        assert.equal(statSync(target).size, "precious".length);
      },
    },
    {
      name: "directory that goes away while a guard is held: release() is quiet, and `lost` tells",
      needs: "system",
      async run() {
        using place = testDirectory();
        const directory = `${place.path}/gone`;
        mkdirSync(directory, { mode: 0o700 });
        const guard = hold("a", directory);
        rmSync(directory, { recursive: true });
        assert.equal(guard.lost.aborted, true);
        for (const error of await refusals(directory)) assert.equal(error.code, "DirectoryNotFound");
        guard.release();
      },
    },
    {
      name: "lost is one signal, not aborted while the file is there",
      run() {
        using guard = hold(freshKey());
        const { lost } = guard;
        assert.ok(lost instanceof AbortSignal);
        assert.equal(lost.aborted, false);
        assert.equal(guard.lost, lost);
        lost.throwIfAborted();
      },
    },
    {
      name: "lost is aborted at its first use where the file was removed, or replaced, before",
      needs: "system",
      run() {
        for (const replace of [false, true]) {
          const name = freshKey();
          using guard = hold(name);
          unlinkSync(pathOf(name));
          using other = replace ? hold(name) : undefined;
          const { aborted, reason } = guard.lost;
          assert.equal(aborted, true);
          assert.ok(reason instanceof QshmError);
          assert.deepEqual([reason.constructor, reason.code, reason.key], [QshmError, "GuardLost", name]);
          assert.match(reason.message, new RegExp(`^Lost instance "${name}": its file was removed.*/i-${name}\\)`));
          assert.equal(other?.lost.aborted ?? false, false);
        }
      },
    },
    {
      name: "lost aborts after the file was removed, replaced or moved; not after release(), nor for who holds still",
      needs: "system",
      async run() {
        const names = ["removed", "replaced", "moved", "released", "held", "listened"].map((name) => freshKey(name));
        const guards = names.map((name) => hold(name));
        const signals = guards.map(({ lost }) => lost);
        const reasons: unknown[] = [];
        signals.forEach((signal, i) => signal.addEventListener("abort", () => reasons[i] = signal.reason));
        let calls = 0;
        signals[5]!.addEventListener("abort", () => {
          calls++;
          guards[5]!.release(); // in the midst of it
        });
        const [removed, replaced, moved, released] = names.map(pathOf) as [string, string, string, string];
        unlinkSync(pathOf(names[5]!));
        using inherited = hold(names[5]!);
        unlinkSync(removed);
        const copy = `${replaced}.copy`;
        copyFileSync(replaced, copy);
        renameSync(copy, replaced);
        renameSync(moved, `${moved}.elsewhere`);
        unlinkSync(released);
        guards[3]!.release();
        await until(() => [0, 1, 2, 5].every((i) => signals[i]!.aborted), "lost");
        assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true, true, false, false, true]);
        for (let i = 0; i < 3; i++) {
          assert.equal(reasons[i], signals[i]!.reason);
          assert.ok(reasons[i] instanceof QshmError);
          assert.equal((reasons[i] as QshmError).code, "GuardLost");
        }
        const next = hold(names[0]!);
        const path = pathOf(names[0]!);
        for (const guard of guards) guard.release();
        assert.ok(existsSync(path), "the file of the new holder stays");
        assert.ok(existsSync(replaced));
        assert.equal(SingleInstance.tryAcquire(names[0]!), undefined);
        assert.equal(next.lost.aborted, false);
        next.release();
        assert.equal(existsSync(path), false);
        assert.equal(calls, 1);
        assert.equal(SingleInstance.tryAcquire(names[5]!), undefined);
        assert.equal(inherited.lost.aborted, false);
        unlinkSync(replaced);
        unlinkSync(`${moved}.elsewhere`);
      },
    },
  ],
};
