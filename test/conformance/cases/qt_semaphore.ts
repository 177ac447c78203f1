/** What `QSystemSemaphore` has beyond Qt, and how it takes misuse. What is Qt's is compared with Qt itself, in test/interop. */

import assert from "node:assert/strict";
import { QSystemSemaphore } from "../../../src/qt/mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { microtasks, rejectionOf, watch } from "../helpers.ts";
import { killPeer, startPeer } from "../peers.ts";

const MODULE = new URL("../../../src/qt/mod.ts", import.meta.url).href;

export const qtSemaphore: Suite = {
  name: "qt: semaphore",
  cases: [
    {
      name: "tryAcquire() and acquire() with a time-out give false without an error",
      run() {
        using semaphore = new QSystemSemaphore(freshKey(), 1);
        assert.ok(semaphore.tryAcquire());
        assert.deepEqual([semaphore.tryAcquire(), semaphore.acquire(0), semaphore.acquire(1)], [false, false, false]);
        assert.deepEqual([semaphore.error(), semaphore.errorString(), semaphore.value()], [QSystemSemaphore.NoError, "", 0]);
        assert.ok(semaphore.release() && semaphore.value() === 1);
      },
    },
    {
      name: "acquireAsync() serves tasks of one object in order; time-outs and aborts leave the queue",
      async run() {
        using semaphore = new QSystemSemaphore(freshKey(), 0);
        const order: number[] = [];
        const tasks = [1, 2, 3].map(async (n) => {
          assert.ok(await semaphore.acquireAsync({ timeout: 60_000 }));
          order.push(n);
        });
        const aborting = new AbortController();
        const aborted = watch(semaphore.acquireAsync({ signal: aborting.signal }));
        assert.equal(await semaphore.acquireAsync({ timeout: 1 }), false);
        aborting.abort("enough");
        await microtasks();
        assert.deepEqual([aborted.state, aborted.reason], ["rejected", "enough"]);
        for (let i = 0; i < 3; i++) {
          assert.ok(semaphore.release());
          await tasks[i];
        }
        assert.deepEqual(order, [1, 2, 3]);
        assert.equal(await rejectionOf(semaphore.acquireAsync({ signal: AbortSignal.abort("now") })), "now");
        assert.equal(semaphore.value(), 0);
      },
    },
    {
      name: "acquireAsync() gets what another process releases, and what it had when it ends",
      needs: "system",
      async run() {
        using semaphore = new QSystemSemaphore(freshKey(), 1);
        await using peer = await startPeer();
        await peer.run(async (_api, state, { module, key }) => {
          const { QSystemSemaphore } = await import(module);
          state.semaphore = new QSystemSemaphore(key);
          if (!state.semaphore.acquire()) throw new Error(state.semaphore.errorString());
        }, { module: MODULE, key: semaphore.key() });
        const waiting = semaphore.acquireAsync({ timeout: 60_000 });
        await peer.run((_api, { semaphore }) => semaphore.release());
        assert.equal(await waiting, true);
        const again = peer.run((_api, { semaphore }) => semaphore.acquire(60_000));
        assert.ok(semaphore.release());
        assert.equal(await again, true);
        const last = semaphore.acquireAsync({ timeout: 60_000 });
        await killPeer(peer);
        assert.equal(await last, true);
      },
    },
    {
      name: "release() of 0 is true, of less false, of too many OutOfResources; misuse throws",
      run() {
        using semaphore = new QSystemSemaphore(freshKey(), 5);
        assert.deepEqual([semaphore.release(0), semaphore.release(-1), semaphore.error()], [true, false, QSystemSemaphore.NoError]);
        for (const n of [32767, 32768, 2 ** 31 - 1]) {
          assert.equal(semaphore.release(n), false);
          assert.equal(semaphore.error(), QSystemSemaphore.OutOfResources);
        }
        assert.equal(semaphore.value(), 5);
        for (const n of [0.5, NaN, 2 ** 40]) assert.throws(() => semaphore.release(n), RangeError);
        assert.throws(() => new QSystemSemaphore("a", -1), RangeError);
        assert.throws(() => new QSystemSemaphore("a", 32768), RangeError);
        assert.throws(() => new QSystemSemaphore("a", 0, 2), RangeError);
        assert.throws(() => new QSystemSemaphore(undefined as never), TypeError);
      },
    },
    {
      name: "without a key, or after disposal, everything gives KeyError; setKey() opens another",
      async run() {
        const semaphore = new QSystemSemaphore("");
        assert.equal(semaphore.error(), QSystemSemaphore.KeyError);
        assert.deepEqual([semaphore.acquire(), semaphore.release(), await semaphore.acquireAsync(), semaphore.value()], [false, false, false, 0]);
        semaphore.setKey(freshKey(), 3);
        assert.deepEqual([semaphore.error(), semaphore.value()], [QSystemSemaphore.NoError, 3]);
        semaphore[Symbol.dispose]();
        assert.equal(semaphore.acquire(), false);
        assert.equal(semaphore.error(), QSystemSemaphore.KeyError);
      },
    },
  ],
};
