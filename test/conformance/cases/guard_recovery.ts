/** What the next holder of a guard is told of the last one: `recovered` after a crash, once, and never otherwise. */

import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import {
  inspect,
  list,
  MessageTooLargeError,
  NotRunningError,
  remove,
  SharedMemory,
  SingleInstance,
} from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import type { Peer } from "../../support/peer.ts";
import { freshKey, type Suite } from "../case.ts";
import { refusalOf, rejectionOf, thrownBy, until, watch } from "../helpers.ts";
import { killPeer, startPeer } from "../peers.ts";

const WATCHDOG = { timeout: 60_000 };

/** A guard whose holder ended without releasing it: a copy of the file of one that is held. */
function makeDead(directory: string, name: string): string {
  using _guard = SingleInstance.tryAcquire("original", { directory, data: "of the dead" });
  const path = `${directory}/i-${name}`;
  copyFileSync(`${directory}/i-original`, path);
  return path;
}

/** Lets a process hold guards, without an end. */
function holdThere(peer: Peer, names: readonly string[]): Promise<void> {
  return peer.run(({ SingleInstance }, state, names) => {
    state.guards = names.map((name) => SingleInstance.tryAcquire(name));
    if (state.guards.includes(undefined)) throw new Error("held already");
  }, names);
}

export const guardRecovery: Suite = {
  name: "guard recovery",
  cases: [
    {
      name: "a holder that is killed is told of once, to the next one, however that asks",
      needs: "system",
      async run() {
        const names = Array.from({ length: 5 }, () => freshKey()) as [string, string, string, string, string];
        const [tried, acquired, awaited, looked, removed] = names;
        await using peer = await startPeer();
        await holdThere(peer, names);
        const waiting = watch(SingleInstance.acquire(awaited, { timeout: Infinity }));
        for (const name of names) assert.equal(inspect("instance", name)?.state, "live");
        await killPeer(peer);

        await until(() => waiting.state !== "pending", "its turn");
        for (let i = 0; i < 3; i++) {
          assert.equal(inspect("instance", looked)?.state, "dead");
          assert.ok(await rejectionOf(SingleInstance.connect(looked)) instanceof NotRunningError);
        }
        assert.equal(remove("instance", removed), true);
        const guards = [
          SingleInstance.tryAcquire(tried)!,
          await SingleInstance.acquire(acquired),
          waiting.value!,
          await SingleInstance.acquire(looked, WATCHDOG),
          SingleInstance.tryAcquire(removed)!,
        ];
        assert.deepEqual(guards.map(({ recovered }) => recovered), [true, true, true, true, false]);
        for (const guard of guards) {
          guard.release();
          assert.equal(typeof guard.recovered, "boolean");
        }
        assert.equal(guards[0]!.recovered, true, "it stays");
        assert.deepEqual(list(), []);
        for (const name of names) {
          using guard = SingleInstance.tryAcquire(name);
          assert.equal(guard?.recovered, false, "told once");
        }
      },
    },
    {
      name: "who only waited and was killed is not told of",
      needs: "system",
      async run() {
        const name = freshKey();
        const guard = SingleInstance.tryAcquire(name)!;
        await using peer = await startPeer();
        void peer.run(({ SingleInstance }, _, name) => {
          return SingleInstance.acquire(name, { timeout: Infinity }).then(() => {});
        }, name).catch(() => {});
        await until(() => inspect("instance", name)?.attached.length === 2, "it waits");
        await killPeer(peer);
        assert.equal((await refusalOf(SingleInstance.acquire(name))).pid, process.pid);
        guard.release();
        for (let i = 0; i < 2; i++) {
          using next = SingleInstance.tryAcquire(name);
          assert.equal(next?.recovered, false);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a holder that ends by itself releases: at its end, by exit(), an uncaught error, an unhandled rejection",
      needs: "system",
      async run() {
        const ways: [(peer: Peer) => Promise<unknown>, number][] = [
          [(peer) => peer.end(), 0],
          [(peer) => peer.run(() => process.exit(3)), 3],
          [(peer) => peer.run(() => void setTimeout(() => {
            throw new Error("uncaught");
          })), 1],
          [(peer) => peer.run(() => void Promise.reject(new Error("unhandled"))), 1],
        ];
        await Promise.all(ways.map(async ([end, code]) => {
          const names = [freshKey(), freshKey()];
          await using peer = await startPeer();
          await holdThere(peer, names);
          const waiting = SingleInstance.acquire(names[0]!, WATCHDOG);
          end(peer).catch(() => {});
          assert.equal(await peer.exited(), code);
          using waited = await waiting;
          using next = SingleInstance.tryAcquire(names[1]!);
          assert.deepEqual([waited.recovered, next?.recovered], [false, false]);
        }));
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a second crash is told of as well",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        makeDead(directory.path, "0");
        for (let i = 0; i < 5; i++) {
          using guard = SingleInstance.tryAcquire(`${i}`, place);
          assert.equal(guard?.recovered, true);
          copyFileSync(`${directory.path}/i-${i}`, `${directory.path}/i-${i + 1}`);
        }
        using guard = SingleInstance.tryAcquire("0", place);
        assert.equal(guard?.recovered, false, "released");
      },
    },
    {
      name: "whoever looks, asks, or is refused changes nothing: the next holder is told still",
      needs: "system",
      async run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        const path = makeDead(directory.path, "a");
        const before = readFileSync(path);
        const data = new Uint8Array(100_000);
        for (let i = 0; i < 3; i++) {
          for (const options of [place, { ...place, timeout: 10 }]) {
            assert.ok(await rejectionOf(SingleInstance.connect("a", options)) instanceof NotRunningError);
          }
          const info = inspect("instance", "a", place)!;
          assert.deepEqual([info.state, info.attached, info.path], ["dead", [], path]);
          assert.deepEqual(list(place).map(({ state }) => state), ["dead"]);
          const large = await rejectionOf(SingleInstance.acquire("a", { ...place, data }));
          assert.ok(large instanceof MessageTooLargeError);
          assert.ok(thrownBy(() => SingleInstance.tryAcquire("a", { ...place, data: NaN })) instanceof TypeError);
          const signal = AbortSignal.abort("no");
          assert.equal(await rejectionOf(SingleInstance.acquire("a", { ...place, signal, timeout: 10 })), "no");
          for (let sweep = 0; sweep < 20; sweep++) SharedMemory.create(freshKey(), 1, place).detach();
          SingleInstance.tryAcquire("other", place)!.release();
        }
        assert.deepEqual(readFileSync(path), before);
        using guard = await SingleInstance.acquire("a", { ...place, data: "of the living" });
        assert.equal(guard.recovered, true);
        using running = await SingleInstance.connect("a", place);
        assert.equal(running.info.data, "of the living");
      },
    },
    {
      name: "what the dead told is told to nobody",
      needs: "system",
      async run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        makeDead(directory.path, "a");
        assert.ok(await rejectionOf(SingleInstance.connect("a", place)) instanceof NotRunningError);
        using guard = SingleInstance.tryAcquire("a", place);
        using running = await SingleInstance.connect("a", place);
        assert.equal(running.info.data, undefined);
        assert.equal(guard?.recovered, true);
      },
    },
    {
      name: "remove() removes the guard of a dead holder, without force, and what there was to tell",
      needs: "system",
      run() {
        using directory = testDirectory();
        const place = { directory: directory.path };
        for (const force of [false, true]) {
          const path = makeDead(directory.path, "a");
          assert.equal(remove("instance", "a", { ...place, force }), true);
          assert.equal(existsSync(path), false);
          assert.equal(remove("instance", "a", { ...place, force }), false);
          using guard = SingleInstance.tryAcquire("a", place);
          assert.equal(guard?.recovered, false);
        }
      },
    },
    {
      name: "release() of who was told removes the file; so nothing of a crash is left",
      needs: "system",
      run() {
        using directory = testDirectory();
        makeDead(directory.path, "a");
        SingleInstance.tryAcquire("a", { directory: directory.path })!.release();
        assert.deepEqual(directory.entries(), []);
      },
    },
  ],
};
