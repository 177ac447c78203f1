/** forceUnlock: from whom the lock is taken, how that one learns of it, and what the next owner is told. */

import assert from "node:assert/strict";
import { inspect, LockError, type ProcessInfo, SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { errorOf, isFree, microtasks, watch } from "../helpers.ts";

const WATCHDOG = { timeout: 60_000 };

export const forceUnlock: Suite = {
  name: "forceUnlock",
  cases: [
    {
      name: "forceUnlock() gives undefined when the lock is free",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        assert.equal(memory.forceUnlock(), undefined);
        const lock = memory.tryLock();
        assert.equal(lock?.ownerDied, false, "and marks nothing");
        lock.unlock();
      },
    },
    {
      name: "forceUnlock() takes the lock away, and gives the former owner",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        one.lockSync();
        const former = two.forceUnlock();
        assert.equal(former?.pid, process.pid);
        assert.equal(former.alive, true);
        assert.ok(former.startedAt instanceof Date);
        assert.equal(isFree(one), true);
        assert.equal(two.forceUnlock(), undefined);
      },
    },
    {
      name: "forceUnlock() is told to the next owner by ownerDied, once",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        for (const take of [() => two.tryLock()!, () => two.lockSync(), () => two.lock(WATCHDOG)]) {
          const forced = one.lockSync();
          two.forceUnlock();
          const next = await take();
          assert.equal(next.ownerDied, true);
          next.unlock();
          assert.throws(() => forced.unlock(), LockError);
          const later = await take();
          assert.equal(later.ownerDied, false, "cleared by an orderly unlock()");
          later.unlock();
        }
      },
    },
    {
      name: "forceUnlock() of an owner who was told of a death is told again",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        one.lockSync();
        two.forceUnlock();
        assert.equal(two.lockSync().ownerDied, true);
        two.forceUnlock();
        using three = SharedMemory.attach(one.key);
        const lock = three.lockSync();
        assert.equal(lock.ownerDied, true);
        lock.unlock();
      },
    },
    {
      name: "unlock() of the former owner throws LockError, once, whether the lock is free or another's by now",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        for (const taken of [false, true]) {
          const forced = one.lockSync();
          two.forceUnlock();
          const next = taken ? two.lockSync() : undefined;
          const error = errorOf(() => forced.unlock());
          assert.ok(error instanceof LockError);
          assert.deepEqual([error.code, error.operation, error.key], ["LockError", "unlock", one.key]);
          assert.match(error.message, /^Cannot unlock shared memory ".*": it was taken away by forceUnlock\(\)/);
          assert.match(error.message, /may be mixed with another's writes/);
          forced.unlock();
          forced[Symbol.dispose]();
          assert.equal(isFree(one), !taken);
          next?.unlock();
        }
      },
    },
    {
      name: "unlock() of the former owner throws LockError when the lock came and went meanwhile",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const forced = one.lockSync();
        two.forceUnlock();
        two.lockSync().unlock();
        assert.throws(() => forced.unlock(), LockError);
        one.lockSync().unlock();
      },
    },
    {
      name: "a `using` block of the former owner ends with LockError",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        await assert.rejects(async () => {
          using _lock = await memory.lock();
          memory.forceUnlock();
        }, LockError);
        (await memory.lock(WATCHDOG)).unlock();
      },
    },
    {
      name: "forceUnlock() through the owner's own attachment: it can lock again once its unlock() has told it",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const forced = memory.lockSync();
        memory.forceUnlock();
        assert.throws(() => forced.unlock(), LockError);
        const next = await memory.lock(WATCHDOG);
        assert.equal(next.ownerDied, true);
        next.unlock();
      },
    },
    {
      name: "forceUnlock() with expected frees only that owner",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const first = one.lockSync();
        const looked = two.lockOwner;
        first.unlock();
        const second = two.lockSync();
        assert.equal(one.forceUnlock(looked), undefined, "another has it by now");
        assert.equal(isFree(one), false);
        assert.equal(one.forceUnlock(one.lockOwner)?.pid, process.pid);
        assert.throws(() => second.unlock(), LockError);
      },
    },
    {
      name: "forceUnlock() with expected gives undefined when the lock is free, and marks nothing",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const lock = memory.lockSync();
        const owner = memory.lockOwner;
        lock.unlock();
        assert.equal(memory.forceUnlock(owner), undefined);
        using next = memory.lockSync();
        assert.equal(next.ownerDied, false);
      },
    },
    {
      name: "forceUnlock() with the owner of another segment's lock frees nobody",
      run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.create(freshKey(), 1);
        using _first = one.lockSync();
        using _second = two.lockSync();
        assert.equal(one.forceUnlock(two.lockOwner), undefined);
        assert.equal(isFree(one), false);
      },
    },
    {
      name: "forceUnlock() takes what inspect() tells of the owner",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        memory.lockSync();
        const owner = inspect("memory", memory.key)?.lockOwner;
        assert.equal(owner?.pid, process.pid);
        assert.equal(memory.forceUnlock(owner)?.pid, process.pid);
      },
    },
    {
      name: "forceUnlock() throws TypeError for an expected that it did not give out itself, and frees nobody",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using _lock = memory.lockSync();
        const owner = memory.lockOwner!;
        for (const expected of [null, 0, 1, "1", {}, { ...owner }, { pid: process.pid }, Object.create(owner)]) {
          assert.throws(() => memory.forceUnlock(expected as ProcessInfo), TypeError);
          assert.equal(isFree(memory), false);
        }
      },
    },
    {
      name: "forceUnlock() lets those who wait have the lock, and tells them",
      async run() {
        using one = SharedMemory.create(freshKey(), 1);
        using two = SharedMemory.attach(one.key);
        const forced = one.lockSync();
        const waiting = two.lock(WATCHDOG);
        one.forceUnlock();
        const next = await waiting;
        assert.equal(next.ownerDied, true);
        next.unlock();
        assert.throws(() => forced.unlock(), LockError);
      },
    },
    {
      name: "forceUnlock() lets tasks of the same attachment go on after unlock() has thrown",
      async run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const forced = memory.lockSync();
        const waiting = watch(memory.lock(WATCHDOG));
        memory.forceUnlock();
        assert.throws(() => forced.unlock(), LockError);
        await microtasks();
        assert.equal(waiting.state, "fulfilled");
        assert.equal(waiting.value!.ownerDied, true);
        waiting.value!.unlock();
      },
    },
    {
      name: "detach() of the former owner frees nobody's lock",
      run() {
        using other = SharedMemory.create(freshKey(), 1);
        const memory = SharedMemory.attach(other.key);
        const forced = memory.lockSync();
        other.forceUnlock();
        const next = other.lockSync();
        memory.detach();
        forced.unlock(); // nothing, after detach()
        assert.equal(isFree(other), false);
        next.unlock();
      },
    },
    {
      name: "forceUnlock() works through a readOnly attachment",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        const forced = memory.lockSync();
        assert.equal(reader.forceUnlock()?.pid, process.pid);
        assert.throws(() => forced.unlock(), LockError);
      },
    },
  ],
};
