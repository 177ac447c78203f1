/** How waits for the lock end without it: timeouts, signals, detach; and what they leave to those who go on waiting. */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import { SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  countListeners,
  isFree,
  microtasks,
  rejectionOf,
  thrownBy,
  watch,
} from "../helpers.ts";

/** A segment of which another attachment has the lock. */
function held(): Disposable & { memory: SharedMemory; unlock(): void } {
  const owner = SharedMemory.create(freshKey(), 1);
  const memory = SharedMemory.attach(owner.key);
  const lock = owner.lockSync();
  return {
    memory,
    unlock: () => lock.unlock(),
    [Symbol.dispose]() {
      memory.detach();
      owner.detach();
    },
  };
}

const WATCHDOG = { timeout: 60_000 };

export const waits: Suite = {
  name: "waits",
  cases: [
    {
      name: "lock() takes a free lock whatever the timeout",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const timeout of [undefined, 0, 0.5, 1, 2 ** 31, 2 ** 53, Number.MAX_VALUE, Infinity]) {
          (await memory.lock({ timeout })).unlock();
        }
        (await memory.lock({})).unlock();
        (await memory.lock(undefined)).unlock();
      },
    },
    {
      name: "lock() with timeout 0 is rejected in the same turn when another has the lock",
      async run() {
        using place = held();
        const fate = watch(place.memory.lock({ timeout: 0 }));
        await microtasks();
        assert.equal(fate.state, "rejected");
        assertDomException(
          fate.reason,
          "TimeoutError",
          new RegExp(`^Timed out after 0 ms waiting for the lock of shared memory "${place.memory.key}"$`),
        );
      },
    },
    {
      name: "lock() with timeout 0 is rejected in the same turn when this attachment has the lock",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using _lock = memory.lockSync();
        const fate = watch(memory.lock({ timeout: 0 }));
        await microtasks();
        assertDomException(fate.reason, "TimeoutError");
      },
    },
    {
      name: "lock() is rejected with TimeoutError when the time is up, and not before",
      async run() {
        using place = held();
        for (const timeout of [1, 4.5, 40]) {
          const start = performance.now();
          assertDomException(
            await rejectionOf(place.memory.lock({ timeout })),
            "TimeoutError",
            /^Timed out after [\d.]+ ms/,
          );
          assert.ok(performance.now() - start >= timeout, `${performance.now() - start} >= ${timeout}`);
        }
        place.unlock();
        (await place.memory.lock(WATCHDOG)).unlock();
      },
    },
    {
      name: "lock() of tasks with different timeouts ends by time, not by their place in the queue",
      async run() {
        using place = held();
        const order: number[] = [];
        await Promise.all([60, 20, 40, 0].map(async (timeout) => {
          assertDomException(await rejectionOf(place.memory.lock({ timeout })), "TimeoutError");
          order.push(timeout);
        }));
        assert.deepEqual(order, [0, 20, 40, 60]);
      },
    },
    {
      name: "lock() that times out while this attachment has the lock leaves the others their order",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const first = memory.lockSync();
        const order: string[] = [];
        const wait = async (name: string, timeout: number): Promise<void> => {
          using _lock = await memory.lock({ timeout });
          order.push(name);
        };
        const tasks = [wait("a", Infinity), wait("b", 5), wait("c", Infinity), wait("d", 1), wait("e", Infinity)];
        const ended = await Promise.all([rejectionOf(tasks[1]!), rejectionOf(tasks[3]!)]);
        for (const reason of ended) assertDomException(reason, "TimeoutError");
        assert.deepEqual(order, []);
        first.unlock();
        await Promise.all([tasks[0], tasks[2], tasks[4]]);
        assert.deepEqual(order, ["a", "c", "e"]);
      },
    },
    {
      name: "lock() that times out leaves no claim: unlock() frees the lock",
      async run() {
        using place = held();
        await rejectionOf(place.memory.lock({ timeout: 30 }));
        place.unlock();
        assert.equal(isFree(place.memory), true);
      },
    },
    {
      name: "lock() waits without an end by default, and with a timeout beyond what timers take",
      async run() {
        using place = held();
        const fates = [undefined, Infinity, 2 ** 31, 2 ** 32 + 5, Number.MAX_VALUE]
          .map((timeout) => watch(place.memory.lock({ timeout })));
        await setTimeout(30);
        for (const { state } of fates) assert.equal(state, "pending");
        place.unlock();
        for (const fate of fates) {
          while (fate.state === "pending") await setImmediate();
          fate.value!.unlock();
        }
      },
    },
    {
      name: "lock() with a timeout or signal of the wrong kind is rejected and takes nothing",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const wrong: [unknown, typeof TypeError | typeof RangeError][] = [
          [{ timeout: -1 }, RangeError],
          [{ timeout: NaN }, RangeError],
          [{ timeout: -Infinity }, RangeError],
          [{ timeout: "1" }, TypeError],
          [{ timeout: 1n }, TypeError],
          [{ timeout: null }, TypeError],
          [{ timeout: new Date() }, TypeError],
          [{ signal: {} }, TypeError],
          [{ signal: null }, TypeError],
          [{ signal: new AbortController() }, TypeError],
          [{ ref: 1 }, TypeError],
          [{ ref: "no" }, TypeError],
          [{ time: 5 }, TypeError],
          [null, TypeError],
          [100, TypeError],
        ];
        for (const [options, Class] of wrong) {
          const error = await rejectionOf(memory.lock(options as never));
          assert.ok(error instanceof Class, `${JSON.stringify(options, (_, v) => String(v))}: ${error}`);
          assert.equal(isFree(memory), true);
        }
      },
    },
    {
      name: "lockSync() with options of the wrong kind throws and takes nothing",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const wrong: [unknown, typeof TypeError | typeof RangeError][] = [
          [{ timeout: -1 }, RangeError],
          [{ timeout: NaN }, RangeError],
          [{ timeout: "1" }, TypeError],
          [{ timeout: null }, TypeError],
          [{ signal: new AbortController().signal }, TypeError],
          [{ ref: false }, TypeError],
          [null, TypeError],
          [1, TypeError],
        ];
        for (const [options, Class] of wrong) {
          assert.throws(() => memory.lockSync(options as never), Class);
          assert.equal(isFree(memory), true);
        }
      },
    },
    {
      name: "lock() with a signal that is aborted already is rejected with its reason and takes nothing",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const reason of ["a string", 0, null, new SyntaxError("mine")]) {
          assert.equal(await rejectionOf(memory.lock({ signal: AbortSignal.abort(reason) })), reason);
        }
        assertDomException(await rejectionOf(memory.lock({ signal: AbortSignal.abort() })), "AbortError");
        assert.equal(isFree(memory), true);
      },
    },
    {
      name: "lock() is rejected with the signal's reason in the turn of the abort",
      async run() {
        using place = held();
        for (const reason of ["a string", null, new SyntaxError("mine")]) {
          const controller = new AbortController();
          const fate = watch(place.memory.lock({ signal: controller.signal }));
          await setImmediate();
          assert.equal(fate.state, "pending");
          controller.abort(reason);
          await microtasks();
          assert.deepEqual([fate.state, fate.reason], ["rejected", reason]);
        }
      },
    },
    {
      name: "lock() is rejected in the turn of the abort also when this attachment has the lock",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const lock = memory.lockSync();
        const controller = new AbortController();
        const fates = [1, 2, 3].map(() => watch(memory.lock({ signal: controller.signal })));
        const stays = watch(memory.lock(WATCHDOG));
        controller.abort();
        await microtasks();
        for (const fate of fates) assertDomException(fate.reason, "AbortError");
        assert.equal(stays.state, "pending");
        lock.unlock();
        await microtasks();
        assert.equal(stays.state, "fulfilled");
        stays.value!.unlock();
      },
    },
    {
      name: "lock() with AbortSignal.timeout() is rejected with the signal's TimeoutError",
      async run() {
        using place = held();
        const signal = AbortSignal.timeout(5);
        const reason = await rejectionOf(place.memory.lock({ signal }));
        assert.equal(reason, signal.reason);
        assertDomException(reason, "TimeoutError");
      },
    },
    {
      name: "lock() lets go of the signal when it has ended, however",
      async run() {
        using place = held();
        const { signal } = new AbortController();
        const listeners = countListeners(signal);
        await rejectionOf(place.memory.lock({ signal, timeout: 5 }));
        assert.equal(listeners.count, 0, "after a timeout");
        const waiting = place.memory.lock({ signal });
        assert.equal(listeners.count, 1);
        place.unlock();
        (await waiting).unlock();
        assert.equal(listeners.count, 0, "after success");
        (await place.memory.lock({ signal })).unlock();
        assert.equal(listeners.count, 0, "without a wait");
        using lock = place.memory.lockSync();
        const pending = watch(place.memory.lock({ signal }));
        place.memory.detach();
        lock.unlock();
        assert.equal(listeners.count, 0, "after detach()");
        await microtasks();
        assert.equal(pending.state, "rejected");
      },
    },
    {
      name: "an abort after the lock was given changes nothing",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const controller = new AbortController();
        const lock = await memory.lock({ signal: controller.signal });
        controller.abort();
        await microtasks();
        assert.equal(isFree(memory), false);
        lock.unlock();
        assert.equal(isFree(memory), true);
      },
    },
    {
      name: "an abort and an unlock() in one turn lose neither the lock nor a waiter",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const abortFirst of [true, false]) {
          const lock = memory.lockSync();
          const controller = new AbortController();
          const aborted = watch(memory.lock({ signal: controller.signal }));
          const next = watch(memory.lock(WATCHDOG));
          const steps = [() => controller.abort(), () => lock.unlock()];
          for (const step of abortFirst ? steps : steps.reverse()) step();
          await microtasks();
          assert.deepEqual([aborted.state, next.state], ["rejected", "fulfilled"]);
          next.value!.unlock();
          assert.equal(isFree(memory), true);
        }
      },
    },
    {
      name: "thousands of waits that time out or are aborted all end, and the lock is free afterwards",
      async run() {
        using place = held();
        const controller = new AbortController();
        const aborted = Array.from({ length: 1000 }, () => watch(place.memory.lock({ signal: controller.signal })));
        const timed = Array.from({ length: 1000 }, (_, i) => rejectionOf(place.memory.lock({ timeout: i % 20 })));
        for (const reason of await Promise.all(timed)) assertDomException(reason, "TimeoutError");
        controller.abort();
        await microtasks();
        for (const { reason } of aborted) assertDomException(reason, "AbortError");
        place.unlock();
        assert.equal(isFree(place.memory), true);
      },
    },
    {
      name: "detach() rejects all pending waits with AbortError in the same turn",
      async run() {
        using place = held();
        const fates = Array.from({ length: 10 }, () => watch(place.memory.lock()));
        await setImmediate();
        place.memory.detach();
        await microtasks();
        for (const fate of fates) {
          assertDomException(
            fate.reason,
            "AbortError",
            new RegExp(`^Detached from shared memory "${place.memory.key}"`),
          );
        }
      },
    },
    {
      name: "detach() rejects pending waits also when the attachment itself has the lock",
      async run() {
        const memory = SharedMemory.create(freshKey(), 1);
        memory.lockSync();
        const fate = watch(memory.lock());
        memory.detach();
        await microtasks();
        assertDomException(fate.reason, "AbortError");
      },
    },
    {
      name: "detach() between unlock() and the next task's turn rejects that task",
      async run() {
        using other = SharedMemory.create(freshKey(), 1);
        const memory = SharedMemory.attach(other.key);
        const lock = memory.lockSync();
        const fate = watch(memory.lock());
        lock.unlock();
        memory.detach();
        await microtasks();
        assertDomException(fate.reason, "AbortError");
        assert.equal(isFree(other), true);
      },
    },
    {
      name: "lock() with ref: false gets the lock as well",
      async run() {
        using place = held();
        const alive = setInterval(() => {}, 1000); // such a wait keeps no process alive
        const waiting = place.memory.lock({ ref: false, ...WATCHDOG });
        place.unlock();
        (await waiting).unlock();
        clearInterval(alive);
        (await place.memory.lock({ ref: false })).unlock();
        (await place.memory.lock({ ref: true })).unlock();
      },
    },
    {
      name: "lock() can be asked for from within what a lock's end starts",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const first = memory.lockSync();
        const order: string[] = [];
        const outer = memory.lock(WATCHDOG).then(async (lock) => {
          order.push("outer");
          const inner = memory.lock(WATCHDOG).then((lock) => {
            order.push("inner");
            lock.unlock();
          });
          lock.unlock();
          await inner;
        });
        const other = memory.lock(WATCHDOG).then((lock) => {
          order.push("other");
          lock.unlock();
        });
        first.unlock();
        await Promise.all([outer, other]);
        assert.deepEqual(order, ["outer", "other", "inner"]);
      },
    },
    {
      name: "lock(), tryLock() and lockSync() of a detached attachment: TypeError, as a rejection from lock()",
      async run() {
        const memory = SharedMemory.create(freshKey(), 1);
        memory.detach();
        assert.ok(await rejectionOf(memory.lock()) instanceof TypeError);
        assert.ok(thrownBy(() => memory.tryLock()) instanceof TypeError);
        assert.ok(thrownBy(() => memory.lockSync()) instanceof TypeError);
      },
    },
  ],
};
