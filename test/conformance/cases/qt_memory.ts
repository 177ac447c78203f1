/** What `QSharedMemory` has beyond Qt, and how it takes misuse. What is Qt's is compared with Qt itself, in test/interop. */

import assert from "node:assert/strict";
import { QDataStream, QSharedMemory } from "../../../src/qt/mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { microtasks, rejectionOf, thrownBy, watch } from "../helpers.ts";
import { directory, killPeer, startPeer } from "../peers.ts";

const WATCHDOG = { timeout: 60_000 };

/** Two attached objects of one segment, in this process. */
function pair(size = 16): Disposable & { a: QSharedMemory; b: QSharedMemory } {
  const key = freshKey();
  const [a, b] = [new QSharedMemory(key), new QSharedMemory(key)];
  assert.ok(a.create(size), a.errorString());
  assert.ok(b.attach(), b.errorString());
  return {
    a,
    b,
    [Symbol.dispose]() {
      b[Symbol.dispose]();
      a[Symbol.dispose]();
    },
  };
}

/** Where a peer finds this module. */
const MODULE = new URL("../../../src/qt/mod.ts", import.meta.url).href;

export const qtMemory: Suite = {
  name: "qt: memory",
  cases: [
    {
      name: "lock() with a time-out gives false and LockError, tryLock() gives false and no error",
      run() {
        using place = pair();
        const { a, b } = place;
        assert.ok(a.lock());
        assert.equal(b.tryLock(), false);
        assert.deepEqual([b.error(), b.errorString()], [QSharedMemory.NoError, ""]);
        assert.equal(b.lock(0), false);
        assert.equal(b.error(), QSharedMemory.LockError);
        assert.match(b.errorString(), /^QSharedMemory::lock: unable to lock \(timed out\)$/);
        assert.ok(a.unlock());
        assert.ok(b.tryLock() && b.lock(0) && b.lock() && b.tryLock(), "held already");
        assert.ok(b.unlock() && !b.unlock());
      },
    },
    {
      name: "lock() that could only wait for this very thread gives LockError at once",
      run() {
        using place = pair();
        const { a, b } = place;
        assert.ok(a.lock());
        assert.equal(b.lock(), false);
        assert.match(b.errorString(), /another object of this thread holds the lock/);
        assert.ok(a.unlock() && b.lock() && b.unlock());
      },
    },
    {
      name: "lockAsync() takes a free lock; tasks of one object get it in order, each when the one before unlocks",
      async run() {
        using place = pair();
        const { a } = place;
        const order: number[] = [];
        assert.equal(await a.lockAsync(), true);
        const tasks = [1, 2, 3].map(async (n) => {
          assert.equal(await a.lockAsync(WATCHDOG), true);
          order.push(n);
          await microtasks();
          assert.equal(order.at(-1), n, "one at a time");
          assert.ok(a.unlock());
        });
        await microtasks();
        assert.deepEqual(order, []);
        assert.ok(a.unlock());
        await Promise.all(tasks);
        assert.deepEqual(order, [1, 2, 3]);
        assert.equal(a.unlock(), false);
      },
    },
    {
      name: "lockAsync() gives false and LockError when time is up, and the lock goes to others",
      async run() {
        using place = pair();
        const { a, b } = place;
        assert.ok(a.lock());
        for (const timeout of [0, 1, 20]) assert.equal(await b.lockAsync({ timeout }), false);
        assert.match(b.errorString(), /^QSharedMemory::lockAsync: unable to lock \(timed out\)$/);
        assert.ok(a.unlock() && a.lock() && a.unlock());
      },
    },
    {
      name: "lockAsync() is rejected with the signal's reason, and those behind it go on",
      async run() {
        using place = pair();
        const { a, b } = place;
        assert.ok(a.lock());
        const aborting = new AbortController();
        const reason = new Error("enough");
        const first = watch(b.lockAsync({ signal: aborting.signal }));
        const second = b.lockAsync(WATCHDOG);
        aborting.abort(reason);
        await microtasks();
        assert.equal(first.state, "rejected");
        assert.equal(first.reason, reason);
        assert.ok(a.unlock());
        assert.equal(await second, true);
        assert.equal(await rejectionOf(a.lockAsync({ signal: AbortSignal.abort(reason) })), reason);
        assert.ok(b.unlock());
      },
    },
    {
      name: "lock() and lockAsync() get the lock of a process that was killed with it",
      needs: "system",
      async run() {
        using place = pair();
        for (const wait of [() => place.b.lockAsync(WATCHDOG), () => Promise.resolve(place.b.lock(60_000))]) {
          await using peer = await startPeer();
          await peer.run(async (_api, state, { module, key }) => {
            const { QSharedMemory } = await import(module);
            state.memory = new QSharedMemory(key);
            if (!state.memory.attach() || !state.memory.lock()) throw new Error(state.memory.errorString());
          }, { module: MODULE, key: place.a.key() });
          assert.equal(place.b.tryLock(), false);
          await killPeer(peer);
          assert.equal(await wait(), true);
          assert.ok(place.b.unlock());
        }
      },
    },
    {
      name: "lock(), tryLock(), lockAsync() and forceUnlock() give LockError before create() or attach(), and work after detach()",
      async run() {
        const memory = new QSharedMemory(freshKey());
        for (const call of [() => memory.lock(), () => memory.tryLock(), () => memory.lockAsync(), () => memory.forceUnlock()]) {
          memory.setKey(memory.key());
          assert.equal(await call(), false);
          assert.equal(memory.error(), QSharedMemory.LockError);
        }
        assert.ok(memory.create(1) && memory.detach());
        assert.ok(memory.lock() && memory.unlock());
        memory[Symbol.dispose]();
      },
    },
    {
      name: "forceUnlock() frees the lock of a process that is stopped; that one's unlock() then changes nothing",
      needs: "system",
      async run() {
        using place = pair();
        await using peer = await startPeer();
        await peer.run(async (_api, state, { module, key }) => {
          const { QSharedMemory } = await import(module);
          state.memory = new QSharedMemory(key);
          if (!state.memory.attach() || !state.memory.lock()) throw new Error(state.memory.errorString());
        }, { module: MODULE, key: place.a.key() });
        process.kill(peer.pid, "SIGSTOP");
        assert.equal(place.a.lock(1), false);
        assert.equal(place.a.forceUnlock(), true);
        assert.equal(place.a.forceUnlock(), false, "it is free");
        assert.ok(place.a.lock());
        process.kill(peer.pid, "SIGCONT");
        await peer.run((_api, { memory }) => {
          if (!memory.unlock()) throw new Error(memory.errorString());
          if (memory.tryLock()) throw new Error("it got the lock that another has");
        });
        assert.ok(place.a.unlock());
        await peer.run((_api, { memory }) => {
          if (!memory.lock() || !memory.unlock() || !memory.detach()) throw new Error(memory.errorString());
        });
        assert.ok(place.a.lock() && !place.b.tryLock() && place.a.unlock(), "free once");
      },
    },
    {
      name: "forceUnlock() frees a lock of this process, whose unlock() then gives false",
      run() {
        using place = pair();
        const { a, b } = place;
        assert.ok(a.lock());
        assert.ok(b.forceUnlock());
        assert.ok(b.lock());
        a.unlock();
        assert.equal(a.tryLock(), false, "b has it");
        assert.ok(b.unlock() && a.lock() && !b.tryLock() && a.unlock());
      },
    },
    {
      name: "release() gives the last contents and detaches; null without an attachment",
      run() {
        const memory = new QSharedMemory(freshKey());
        assert.equal(memory.release(), null);
        assert.ok(memory.create(4));
        memory.write(Uint8Array.of(1, 2, 3, 4));
        assert.deepEqual([...memory.release()!], [1, 2, 3, 4]);
        assert.deepEqual([memory.isAttached(), memory.size(), memory.attach(), memory.error()], [false, 0, false, QSharedMemory.NotFound]);
      },
    },
    {
      name: "remove() removes what a crash left, not what another process uses unless forced, and says whether it did",
      needs: "system",
      async run() {
        const key = freshKey();
        assert.equal(QSharedMemory.remove(key), false);
        const start = async () => {
          const peer = await startPeer();
          await peer.run(async (_api, state, { module, key }) => {
            const { QSharedMemory } = await import(module);
            state.memory = new QSharedMemory(key);
            if (!state.memory.create(8)) throw new Error(state.memory.errorString());
          }, { module: MODULE, key });
          return peer;
        };
        await using first = await start();
        assert.equal(QSharedMemory.remove(key), false, "in use");
        await killPeer(first);
        assert.equal(QSharedMemory.remove(key), true);
        assert.equal(QSharedMemory.remove(key), false);

        await using second = await start();
        assert.equal(QSharedMemory.remove(key, { force: true }), true);
        const memory = new QSharedMemory(key);
        assert.ok(memory.create(3), memory.errorString());
        assert.deepEqual(await second.run((_api, { memory }) => [memory.size(), memory.detach()]), [8, true]);
        assert.ok(memory.isAttached() && memory.lock() && memory.unlock());
        assert.equal(QSharedMemory.remove(key), true, "attachments of this process do not count");
        assert.equal(memory.size(), 3);
        memory[Symbol.dispose]();
        assert.equal(QSharedMemory.remove(key), false);
      },
    },
    {
      name: "readStream(), writeStream() and writeStreamIfChanged() read and write from the first byte, under the lock",
      run() {
        using place = pair(64);
        const { a, b } = place;
        const write = (text: string) => (stream: QDataStream) => void stream.writeQString(text);
        assert.equal(a.writeStream(write("hello")), 14);
        assert.equal(b.readStream((stream) => stream.readQString()), "hello");
        assert.equal(b.writeStreamIfChanged(write("hello")), false);
        assert.equal(b.writeStreamIfChanged(write("hallo")), true);
        assert.equal(a.readStream((stream) => stream.readQString()), "hallo");
        assert.ok(a.lock());
        assert.equal(a.readStream((stream) => stream.readQString()), "hallo", "under the lock that it has");
        assert.equal(b.tryLock(), false, "which it keeps");
        assert.match((thrownBy(() => b.readStream(() => 0)) as Error).message, /another object of this thread/);
        assert.ok(a.unlock() && b.tryLock() && b.unlock());
        const error = thrownBy(() => a.writeStream(write("x".repeat(100))));
        assert.ok(error instanceof RangeError, `${error}`);
        assert.throws(() => a.writeStreamIfChanged(write("x".repeat(100))), RangeError);
        assert.equal(a.readStream((stream) => stream.readQString()), "hallo", "nothing was written");
        assert.ok(b.tryLock() && b.unlock(), "and the lock is free");
      },
    },
    {
      name: "an object attached ReadOnly reads what others write, and every way to write throws",
      run() {
        const key = freshKey();
        using writer = new QSharedMemory(key);
        using reader = new QSharedMemory(key);
        assert.ok(writer.create(8) && reader.attach(QSharedMemory.ReadOnly));
        writer.write(Uint8Array.of(7), 3);
        assert.equal(reader.read(3, 1)[0], 7);
        assert.throws(() => reader.write(Uint8Array.of(1)), /^TypeError: Cannot write: it is attached ReadOnly$/);
        assert.throws(() => reader.writeStream((stream) => void stream.writeQString("")), TypeError);
      },
    },
    {
      name: "read() and write() need no permission beyond the library's; ranges are checked",
      run() {
        using place = pair(8);
        const { a, b } = place;
        a.write(Uint8Array.of(1, 2, 3), 5);
        assert.deepEqual([...b.read()], [0, 0, 0, 0, 0, 1, 2, 3]);
        assert.deepEqual([...b.read(5, 2)], [1, 2]);
        assert.deepEqual([...b.read(8)], []);
        for (const call of [() => a.read(9), () => a.read(0, 9), () => a.read(-1), () => a.read(0.5), () => a.read(4, 5)]) {
          assert.throws(call, RangeError);
        }
        assert.throws(() => a.write(new Uint8Array(2), 7), RangeError);
        assert.throws(() => a.write([1] as never), TypeError);
      },
    },
    {
      name: "misuse throws, and names what is wrong",
      run() {
        const memory = new QSharedMemory(freshKey());
        assert.throws(() => new QSharedMemory(5 as never), /^TypeError: Key must be a string: got number$/);
        assert.throws(() => memory.create("1" as never), /^TypeError: Size must be a number: got string$/);
        for (const size of [0.5, NaN, Infinity, 2 ** 53]) assert.throws(() => memory.create(size), RangeError);
        for (const mode of [2, -1, "1", null]) assert.throws(() => memory.create(1, mode as never), /^RangeError: Mode must be QSharedMemory.ReadOnly/);
        for (const timeout of [-1, NaN]) assert.throws(() => memory.lock(timeout), RangeError);
        assert.throws(() => memory.attach(1, "1" as never), TypeError);
        assert.throws(() => memory.read(), /^TypeError: Cannot read ".*": it is not attached$/);
        assert.throws(() => memory.dataChanged(), TypeError);
        assert.throws(() => memory.setCleanupFunction(1 as never), TypeError);
        assert.throws(() => memory.addEventListener("change" as never, () => {}), TypeError);
        assert.throws(() => QSharedMemory.remove("a", { forced: true } as never), /^TypeError: Unknown option "forced"/);
        assert.equal(QSharedMemory.remove(""), false);
      },
    },
    {
      name: "create() refuses sizes that the system cannot have, and leaves nothing",
      run() {
        const memory = new QSharedMemory(freshKey());
        for (const size of [0, -1, -(2 ** 31)]) {
          assert.equal(memory.create(size), false);
          assert.equal(memory.error(), QSharedMemory.InvalidSize);
        }
        assert.equal(memory.create(2 ** 50), false);
        assert.ok([QSharedMemory.OutOfResources, QSharedMemory.InvalidSize].includes(memory.error() as 2 | 7), memory.errorString());
        assert.equal(QSharedMemory.remove(memory.key()), false, "nothing is left");
        assert.ok(memory.create(1), "and it can still be made");
        memory[Symbol.dispose]();
      },
    },
    {
      name: "a native key may name any file; one that is not empty is never removed",
      needs: "system",
      async run() {
        const { existsSync, readFileSync, rmSync, writeFileSync } = await import("node:fs");
        const path = `${directory()}/precious`;
        writeFileSync(path, "contents");
        const memory = new QSharedMemory();
        memory.setNativeKey(path);
        assert.ok(memory.create(8) && memory.lock() && memory.unlock() && memory.detach(), memory.errorString());
        memory[Symbol.dispose]();
        assert.equal(readFileSync(path, "utf8"), "contents");
        rmSync(path);
        memory.setNativeKey(path);
        assert.ok(memory.create(8) && memory.detach(), memory.errorString());
        assert.equal(existsSync(path), false, "one that was made for it is");
      },
    },
    {
      name: "views are empty after detach(), setKey() and disposal, and the object can be used again",
      needs: "view",
      run() {
        const key = freshKey();
        const memory = new QSharedMemory(key);
        for (const end of [() => memory.detach(), () => memory.setKey(key), () => memory[Symbol.dispose](), () => memory.release()]) {
          assert.ok(memory.create(16), memory.errorString());
          const data = memory.data()!;
          assert.equal(memory.data(), data, "one view an attachment");
          const words = new Uint32Array(data.buffer);
          words[0] = 1;
          end();
          assert.deepEqual([data.length, words.length, words[0], memory.data()], [0, 0, undefined, null]);
        }
      },
    },
    {
      name: "a view whose buffer was transferred away does no harm",
      needs: "view",
      run() {
        const memory = new QSharedMemory(freshKey());
        assert.ok(memory.create(16));
        const taken = memory.data()!.buffer.transfer();
        assert.ok(memory.detach());
        new Uint8Array(taken)[0] = 1;
        assert.ok(memory.create(16));
        assert.equal(memory.read()[0], 0);
        memory[Symbol.dispose]();
      },
    },
  ],
};
