/** The lock: who has it, who gets it next, and how it ends. How waits end without it stands in waits.ts. */

import assert from "node:assert/strict";
import { setImmediate, setTimeout } from "node:timers/promises";
import { LockError, remove, SharedMemory } from "../../../mod.ts";
import { lockWord } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, isFree, microtasks, watch } from "../helpers.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };

/** Does a waiter have the right to be the next owner? */
function hasHeir({ path }: SharedMemory): boolean {
  return lockWord(path).heir !== 0;
}

export const lock: Suite = {
  name: "lock",
  cases: [
    {
      name: "lock(), tryLock() and lockSync() take the lock, unlock() frees it",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const take of [() => memory.lock(), () => memory.tryLock()!, () => memory.lockSync()]) {
          assert.equal(isFree(memory), true);
          const lock = await take();
          assert.equal(lock.ownerDied, false);
          assert.equal(isFree(memory), false);
          assert.equal(lock.unlock(), undefined);
          assert.equal(isFree(memory), true);
        }
      },
    },
    {
      name: "lock() takes a free lock before it returns",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const promise = memory.lock();
        assert.equal(isFree(memory), false);
        (await promise).unlock();
      },
    },
    {
      name: "a Lock is freed at the end of a `using` block, also when that throws",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        {
          using _lock = await memory.lock();
          assert.equal(isFree(memory), false);
        }
        assert.equal(isFree(memory), true);
        assert.throws(() => {
          using _lock = memory.lockSync();
          throw new SyntaxError("inside");
        }, SyntaxError);
        assert.equal(isFree(memory), true);
      },
    },
    {
      name: "tryLock() gives undefined while this attachment, or another one, has the lock",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const lock = one.tryLock();
        assert.equal(one.tryLock(), undefined);
        assert.equal(two.tryLock(), undefined);
        lock!.unlock();
        const next = two.tryLock();
        assert.equal(next?.ownerDied, false);
        assert.equal(one.tryLock(), undefined);
        next.unlock();
      },
    },
    {
      name: "tryLock() gives undefined while tasks of this attachment wait, even at the moment that the lock is free",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const lock = memory.lockSync();
        const waiting = memory.lock(WATCHDOG);
        lock.unlock();
        assert.equal(memory.tryLock(), undefined);
        (await waiting).unlock();
        memory.tryLock()!.unlock();
      },
    },
    {
      name: "unlock() again is nothing: it frees nobody else's lock",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using other = SharedMemory.attach(memory.key);
        const first = memory.lockSync();
        first.unlock();
        first.unlock();
        const second = memory.lockSync();
        first.unlock();
        first[Symbol.dispose]();
        assert.equal(isFree(memory), false);
        second.unlock();
        const third = await other.lock();
        first.unlock();
        second.unlock();
        assert.equal(isFree(memory), false);
        third.unlock();
      },
    },
    {
      name: "lock() serves the tasks of one attachment in the order in which they asked",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const first = await memory.lock();
        const order: number[] = [];
        const tasks = Array.from({ length: 100 }, async (_, i) => {
          using _lock = await memory.lock(WATCHDOG);
          order.push(i);
          if (i % 10 === 0) await setImmediate();
        });
        await setImmediate();
        assert.deepEqual(order, []);
        first.unlock();
        await Promise.all(tasks);
        assert.deepEqual(order, Array.from({ length: 100 }, (_, i) => i));
        assert.equal(isFree(memory), true);
      },
    },
    {
      name: "lock() lets one in at a time, in order, when five thousand tasks ask; timers keep firing meanwhile",
      async run() {
        using memory = SharedMemory.create(freshKey(), 4);
        const order: number[] = [];
        let inside = 0;
        let ticks = 0;
        let ticksAtEnd = 0;
        const timer = setInterval(() => ticks++, 1);
        const tasks = Array.from({ length: 5000 }, async (_, i) => {
          using _lock = await memory.lock(WATCHDOG);
          assert.equal(++inside, 1);
          order.push(i);
          if (i % 50 === 0) await setTimeout(1);
          inside--;
          ticksAtEnd = ticks;
        });
        await Promise.all(tasks);
        clearInterval(timer);
        assert.deepEqual(order, Array.from({ length: 5000 }, (_, i) => i));
        assert.ok(ticksAtEnd >= 10, `${ticksAtEnd} ticks`);
      },
    },
    {
      name: "lock() passes to the next task in the same turn as unlock()",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const first = memory.lockSync();
        const second = watch(memory.lock(WATCHDOG));
        first.unlock();
        await microtasks();
        assert.equal(second.state, "fulfilled");
        second.value!.unlock();
      },
    },
    {
      name: "lock() waits while another attachment has the lock, and timers keep firing",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const held = one.lockSync();
        const waiting = watch(two.lock(WATCHDOG));
        for (let i = 0; i < 20; i++) {
          await setTimeout(1);
          assert.equal(waiting.state, "pending");
        }
        held.unlock();
        while (waiting.state === "pending") await setImmediate();
        assert.equal(waiting.value?.ownerDied, false);
        waiting.value.unlock();
      },
    },
    {
      name: "lock() keeps tasks of several attachments out of each other's way",
      async run() {
        const key = freshKey();
        const attachments = [SharedMemory.create(key, 8), SharedMemory.attach(key), SharedMemory.attach(key)];
        let inside = 0;
        await Promise.all(attachments.flatMap((memory) =>
          Array.from({ length: 30 }, async (_, i) => {
            using _lock = await memory.lock(WATCHDOG);
            assert.equal(++inside, 1);
            const [count] = memory.read(0, 1);
            if (i % 3 === 0) await setImmediate();
            memory.write(Uint8Array.of(count! + 1));
            inside--;
          })
        ));
        assert.equal(attachments[0]!.read(0, 1)[0], 90);
        for (const memory of attachments) memory.detach();
      },
    },
    {
      name: "lock() of different segments, and of different keys, does not meet",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.create(freshKey(), 1);
        const first = one.lockSync();
        const second = two.tryLock();
        assert.notEqual(second, undefined);
        first.unlock();
        second!.unlock();
      },
    },
    {
      name: "lockSync() throws LockError when this attachment has the lock: the wait could never end",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const held = memory.lockSync();
        for (const options of [undefined, { timeout: 0 }, { timeout: 60_000 }]) {
          const error = errorOf(() => memory.lockSync(options));
          assert.ok(error instanceof LockError);
          assert.deepEqual([error.code, error.operation, error.key], ["LockError", "lock", memory.key]);
          assert.match(error.message, /could never end.*unlock first/);
        }
        held.unlock();
        memory.lockSync().unlock();
      },
    },
    {
      name: "lockSync() throws LockError when another attachment of this thread has the lock",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const held = await one.lock();
        assert.throws(() => two.lockSync(), LockError);
        held.unlock();
        two.lockSync().unlock();
      },
    },
    {
      name: "lockSync() takes a free lock whatever the timeout",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        for (const timeout of [0, 0.5, 1, 2 ** 40, Number.MAX_VALUE, Infinity]) memory.lockSync({ timeout }).unlock();
        memory.lockSync({}).unlock();
        memory.lockSync(undefined).unlock();
      },
    },
    {
      name: "lockSync() goes before tasks that wait in its own attachment, and they go on afterwards",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const first = memory.lockSync();
        const waiting = watch(memory.lock(WATCHDOG));
        first.unlock();
        const second = memory.lockSync(WATCHDOG);
        await setImmediate();
        assert.equal(waiting.state, "pending");
        second.unlock();
        while (waiting.state === "pending") await setImmediate();
        assert.equal(waiting.value?.ownerDied, false);
        waiting.value.unlock();
      },
    },
    {
      name: "lockSync() works while tasks of a sibling attachment wait, and they go on afterwards",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const first = one.lockSync();
        const waiting = watch(two.lock(WATCHDOG));
        first.unlock();
        const second = one.lockSync(WATCHDOG);
        await setImmediate();
        assert.equal(waiting.state, "pending");
        second.unlock();
        while (waiting.state === "pending") await setImmediate();
        assert.equal(waiting.value?.ownerDied, false);
        waiting.value.unlock();
      },
    },
    {
      name: "lockSync() works while a task of a sibling attachment is the lock's heir, who cannot run meanwhile",
      needs: "system",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const first = one.lockSync();
        const waiting = watch(two.lock(WATCHDOG));
        while (!hasHeir(one)) await setTimeout(1);
        first.unlock(); // to the heir, whose task has not run yet
        const second = one.lockSync(WATCHDOG);
        assert.equal(second.ownerDied, false);
        assert.equal(waiting.state, "pending");
        second.unlock();
        while (waiting.state === "pending") await setImmediate();
        assert.equal(waiting.value?.ownerDied, false);
        waiting.value.unlock();
        assert.equal(isFree(one), true);
      },
    },
    {
      name: "lock() that is the heir and gives up leaves no claim behind",
      needs: "system",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const held = one.lockSync();
        const controller = new AbortController();
        const waiting = watch(two.lock({ ...WATCHDOG, signal: controller.signal }));
        while (!hasHeir(one)) await setTimeout(1);
        controller.abort();
        await microtasks();
        assert.equal(waiting.state, "rejected");
        assert.equal(hasHeir(one), false);
        held.unlock();
        assert.equal(isFree(one), true);
      },
    },
    {
      name: "lock() that was granted the lock and gives up before it learns so hands the lock on",
      needs: "system",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const held = one.lockSync();
        const controller = new AbortController();
        const waiting = watch(two.lock({ ...WATCHDOG, signal: controller.signal }));
        while (!hasHeir(one)) await setTimeout(1);
        held.unlock();
        assert.equal(isFree(one), false, "granted");
        controller.abort();
        assert.equal(isFree(one), true);
        await microtasks();
        assert.equal(waiting.state, "rejected");
        const next = one.tryLock();
        assert.equal(next?.ownerDied, false);
        next.unlock();
      },
    },
    {
      name: "detach() frees a lock that is held, in order: the next owner is not told of a death",
      run() {
        using other = SharedMemory.create(freshKey(), 1);
        const memory = SharedMemory.attach(other.key);
        const held = memory.lockSync();
        memory.detach();
        const next = other.tryLock();
        assert.equal(next?.ownerDied, false);
        held.unlock();
        assert.equal(isFree(other), false, "unlock() after detach() is nothing");
        next.unlock();
      },
    },
    {
      name: "detach() passes a lock that is held on to a task that waits in another attachment",
      async run() {
        using other = SharedMemory.create(freshKey(), 1);
        const memory = SharedMemory.attach(other.key);
        memory.lockSync();
        const waiting = other.lock(WATCHDOG);
        memory.detach();
        const next = await waiting;
        assert.equal(next.ownerDied, false);
        next.unlock();
      },
    },
    {
      name: "lockOwner is undefined while the lock is free, else this process",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        assert.equal(one.lockOwner, undefined);
        const held = await one.lock();
        for (const { lockOwner } of [one, two]) {
          assert.equal(lockOwner?.pid, process.pid);
          assert.equal(lockOwner.alive, true);
          const started = lockOwner.startedAt?.getTime() ?? NaN;
          assert.ok(Math.abs(started - performance.timeOrigin) < 60_000, `${started}, ${performance.timeOrigin}`);
          assert.ok(Object.isFrozen(lockOwner));
        }
        held.unlock();
        assert.equal(two.lockOwner, undefined);
      },
    },
    {
      name: "readOnly attachments take the lock too, and are kept out",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        const held = reader.lockSync();
        assert.equal(memory.tryLock(), undefined);
        held.unlock();
        const other = memory.lockSync();
        assert.equal(reader.tryLock(), undefined);
        other.unlock();
        (await reader.lock(WATCHDOG)).unlock();
      },
    },
    {
      name: "a lock protects persistent contents across attachments: nothing of it stays after the last detach()",
      run() {
        const key = freshKey();
        const memory = SharedMemory.create(key, 1, { persistent: true });
        memory.lockSync();
        memory.detach();
        const again = SharedMemory.attach(key);
        const lock = again.tryLock();
        assert.equal(lock?.ownerDied, false);
        again.detach();
        lock.unlock(); // nothing: detach() did it
        {
          using last = SharedMemory.attach(key);
          assert.equal(isFree(last), true);
        }
        remove("memory", key);
      },
    },
  ],
};
