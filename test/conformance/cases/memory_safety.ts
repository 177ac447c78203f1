/** No sequence of calls crashes the process or leaves anything: views after detach, hostile contents, many rounds. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { inspect, list, QshmError, remove, SharedMemory } from "../../../mod.ts";
import { poke } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import { collectGarbage, rejectionOf } from "../helpers.ts";
import { randomBytes, withRandom } from "../random.ts";

/** What there is of an attachment after its end. */
async function assertEnded(
  memory: SharedMemory,
  before: { key: string; path: string; created: boolean },
): Promise<void> {
  assert.equal(memory.isAttached, false);
  assert.equal(memory.size, 0);
  assert.equal(memory.detach(), false);
  assert.equal(memory.key, before.key);
  assert.equal(memory.path, before.path);
  assert.equal(memory.created, before.created);
  assert.equal(memory.recovered, false);
  assert.equal(memory.readOnly, !before.created);
  for (
    const f of [
      () => memory.read(),
      () => memory.read(0, 0),
      () => memory.readInto(new Uint8Array(1)),
      () => memory.write(new Uint8Array(0)),
      () => memory.writeIfChanged(new Uint8Array(1)),
      () => memory.tryLock(),
      () => memory.lockSync({ timeout: 0 }),
      () => memory.lockOwner,
      () => memory.forceUnlock(),
      () => memory.revision,
      () => memory.release(),
    ]
  ) {
    assert.throws(f, TypeError);
  }
  assert.ok(await rejectionOf(memory.lock()) instanceof TypeError);
}

/** Every byte of a moved buffer can be read and written: it is memory of nobody else. */
function touch(buffer: ArrayBuffer): void {
  const bytes = new Uint8Array(buffer);
  let sum = 0;
  for (const byte of bytes) sum += byte;
  bytes.fill(1);
  assert.ok(Number.isInteger(sum) && bytes.every((byte) => byte === 1));
}

function message(buffer: ArrayBuffer): Promise<ArrayBuffer> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port2.onmessage = ({ data }) => {
      port1.close();
      port2.close();
      resolve(data);
    };
    port1.postMessage(buffer, [buffer]);
  });
}

export const memorySafety: Suite = {
  name: "memory safety",
  cases: [
    {
      name: "after detach() key, path, created, recovered stay; all else is empty, false or a TypeError",
      async run() {
        const creator = SharedMemory.create(freshKey(), 10);
        const reader = SharedMemory.attach(creator.key, { readOnly: true });
        const { path } = creator;
        for (const memory of [creator, reader]) {
          memory.detach();
          await assertEnded(memory, { key: creator.key, path, created: memory === creator });
        }
      },
    },
    {
      name: "after detach() data is empty, asked for before or not",
      needs: "view",
      async run() {
        const asked = SharedMemory.create(freshKey(), 10);
        const unasked = SharedMemory.attach(asked.key);
        const reader = SharedMemory.attach(asked.key, { readOnly: true });
        const views = [asked.data, reader.data];
        for (const memory of [asked, unasked, reader]) {
          memory.detach();
          assert.ok(memory.data instanceof Uint8Array);
          assert.equal(memory.data.length, 0);
          assert.equal(memory.data.byteLength, 0);
          memory.data[0] = 1;
          assert.equal(memory.data[0], undefined);
        }
        for (const view of views) assert.deepEqual([view.length, view.byteOffset, view.buffer.byteLength], [0, 0, 0]);
        await assertEnded(asked, { key: asked.key, path: asked.path, created: true });
      },
    },
    {
      name: "after detach() views of every kind are empty, and using them is harmless",
      needs: "view",
      run() {
        for (const readOnly of [false, true]) {
          const creator = SharedMemory.create(freshKey(), 4096);
          const memory = readOnly ? SharedMemory.attach(creator.key, { readOnly }) : creator;
          const { buffer } = memory.data;
          const words = new Uint32Array(buffer);
          const floats = new Float64Array(buffer, 8, 4);
          const view = new DataView(buffer, 16);
          const part = memory.data.subarray(100, 200);
          const iterator = memory.data.values();
          iterator.next();
          memory.detach();
          for (const array of [words, floats, part]) {
            assert.equal(array.length, 0);
            assert.equal(array[0], undefined);
            array[0] = 1;
            assert.equal(array[0], undefined);
            assert.throws(() => array.set([1]), Error);
            assert.throws(() => array.slice(), TypeError);
            assert.throws(() => array.fill(1), TypeError);
          }
          assert.throws(() => view.getUint8(0), TypeError);
          assert.throws(() => view.setFloat64(0, 1), TypeError);
          assert.throws(() => view.byteLength, TypeError);
          assert.throws(() => iterator.next(), TypeError);
          assert.throws(() => Atomics.add(words, 0, 1), TypeError);
          assert.throws(() => new Uint8Array(buffer, 0, 1), TypeError);
          assert.throws(() => buffer.slice(0, 1), TypeError);
          creator.detach();
        }
      },
    },
    {
      name: "detach() in the middle of a loop over data ends the loop, harmlessly",
      needs: "view",
      run() {
        const memory = SharedMemory.create(freshKey(), 1 << 16);
        const { data } = memory;
        let seen = 0;
        data.forEach((byte, i) => {
          if (byte !== undefined) seen++;
          if (i === 100) memory.detach();
        });
        assert.equal(seen, 101);
        const other = SharedMemory.create(freshKey(), 1000);
        const sorted = other.data;
        try {
          sorted.sort((a, b) => {
            other.detach();
            return a - b;
          });
        } catch (error) {
          assert.ok(error instanceof TypeError);
        }
        assert.equal(sorted.length, 0);
      },
    },
    {
      name: "detach() while an argument is converted: no call reaches what is gone",
      needs: "view",
      run() {
        const memory = SharedMemory.create(freshKey(), 4096);
        const { data } = memory;
        const detaching = { valueOf: () => (memory.detach(), 1) };
        assert.doesNotThrow(() => data.at(detaching as never));
        const another = SharedMemory.create(freshKey(), 4096);
        const words = new Uint32Array(another.data.buffer);
        const storing = { valueOf: () => (another.detach(), 1) };
        words[0] = storing as never;
        assert.equal(words[0], undefined);
        const third = SharedMemory.create(freshKey(), 4096);
        const filled = third.data;
        assert.throws(() => filled.fill({ valueOf: () => (third.detach(), 1) } as never), TypeError);
      },
    },
    {
      name: "release() empties the view, and what it gives lives on",
      needs: "view",
      run() {
        const memory = SharedMemory.create(freshKey(), 4);
        const { data } = memory;
        data.set([1, 2, 3, 4]);
        const contents = memory.release();
        assert.equal(data.length, 0);
        assert.deepEqual([...contents], [1, 2, 3, 4]);
        contents.fill(9);
        assert.deepEqual([...contents], [9, 9, 9, 9]);
      },
    },
    {
      name: "a buffer that the user transferred before detach() stays usable, as memory of its own",
      needs: "view",
      async run() {
        const moves: [string, (buffer: ArrayBuffer) => ArrayBuffer | Promise<ArrayBuffer>][] = [
          ["transfer()", (buffer) => buffer.transfer()],
          ["transfer() to less", (buffer) => buffer.transfer(100)],
          ["transfer() to more", (buffer) => buffer.transfer(20_000)],
          ["transferToFixedLength()", (buffer) => buffer.transferToFixedLength()],
          ["structuredClone()", (buffer) => structuredClone(buffer, { transfer: [buffer] })],
          ["postMessage()", message],
        ];
        for (const [what, move] of moves) {
          for (const readOnly of [false, true]) {
            using creator = SharedMemory.create(freshKey(), 10_000);
            const memory = SharedMemory.attach(creator.key, { readOnly });
            const { data } = memory;
            const moved = await move(data.buffer);
            assert.equal(data.length, 0, what);
            assert.equal(memory.data, data, what);
            creator.write(Uint8Array.of(1));
            assert.equal(memory.read(0, 1)[0], 1, what);
            assert.equal(memory.detach(), true);
            creator.write(new Uint8Array(10_000).fill(77));
            touch(moved);
            assert.ok(creator.read().every((byte) => byte === 77), what);
            collectGarbage();
            touch(moved);
          }
        }
      },
    },
    {
      name: "a copy that structuredClone() made stays as it was",
      needs: "view",
      run() {
        const memory = SharedMemory.create(freshKey(), 100);
        memory.data.fill(5);
        const copy = structuredClone(memory.data);
        memory.detach();
        assert.equal(copy.length, 100);
        assert.ok(copy.every((byte) => byte === 5));
        touch(copy.buffer as ArrayBuffer);
      },
    },
    {
      name: "a view that outlives its object, and an object that outlives its view, are collected without harm",
      needs: "view",
      async run() {
        const views: Uint8Array[] = [];
        for (let round = 0; round < 5; round++) {
          for (let i = 0; i < 50; i++) {
            const memory = SharedMemory.create(freshKey(), 5000);
            views.push(memory.data.subarray(1, 4000));
            memory.detach();
            const other = SharedMemory.create(freshKey(), 5000);
            void other.data;
            other.detach();
          }
          collectGarbage();
          await setImmediate();
        }
        assert.ok(views.every(({ length }) => length === 0));
      },
    },
    {
      name: "an attachment whose object was collected is still attached: no finalizer detaches",
      async run() {
        const key = freshKey();
        SharedMemory.create(key, 8).write(Uint8Array.of(42));
        for (let i = 0; i < 5; i++) {
          collectGarbage();
          await setImmediate();
        }
        assert.equal(inspect("memory", key)?.attached.length, 1);
        using memory = SharedMemory.attach(key);
        assert.equal(memory.read(0, 1)[0], 42);
        assert.equal(remove("memory", key, { force: true }), true);
      },
    },
    {
      name: "a view whose object was collected stays valid",
      needs: "view",
      async run() {
        const key = freshKey();
        const view = (() => SharedMemory.create(key, 8).data)();
        for (let i = 0; i < 5; i++) {
          collectGarbage();
          await setImmediate();
        }
        view[0] = 9;
        using memory = SharedMemory.attach(key);
        assert.equal(memory.read(0, 1)[0], 9);
        assert.equal(remove("memory", key, { force: true }), true);
      },
    },
    {
      name: "10,000 rounds of create, data and detach() keep neither descriptors nor mappings",
      needs: "system",
      async run() {
        const descriptors = (): number => readdirSync("/proc/self/fd").length;
        const mappings = (): number => readFileSync("/proc/self/maps", "utf8").split("\n").length;
        const round = async (rounds: number): Promise<void> => {
          for (let i = 0; i < rounds; i++) {
            const key = freshKey();
            const memory = SharedMemory.create(key, 1 + i % 9000);
            const reader = SharedMemory.attach(key, { readOnly: i % 2 === 0 });
            if (i % 3 !== 0) reader.data[0] = 1;
            if (i % 3 !== 1) memory.data[0] = i;
            memory.tryLock();
            reader.detach();
            memory.detach();
            if (i % 1000 === 0) {
              collectGarbage();
              await setImmediate();
            }
          }
        };
        await round(1000);
        const before = [descriptors(), mappings()] as const;
        await round(10_000);
        assert.ok(Math.abs(descriptors() - before[0]) <= 2, `${before[0]} descriptors became ${descriptors()}`);
        assert.ok(mappings() - before[1] < 200, `${before[1]} mappings became ${mappings()}`);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "thousands of calls that fail keep no descriptors",
      needs: "system",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        const failing = (): void => {
          assert.equal(SharedMemory.tryCreate(memory.key, 1), undefined);
          assert.equal(SharedMemory.tryAttach("nothing"), undefined);
          assert.throws(() => SharedMemory.open(memory.key, 2), QshmError);
          assert.throws(() => SharedMemory.create("huge", 2 ** 45), QshmError);
          assert.throws(() => remove("memory", memory.key), QshmError);
        };
        failing();
        const before = readdirSync("/proc/self/fd").length;
        for (let i = 0; i < 500; i++) failing();
        assert.ok(Math.abs(readdirSync("/proc/self/fd").length - before) <= 2);
      },
    },
    {
      name: "hostile control blocks give answers or typed errors, whatever bytes they hold",
      needs: "system",
      run() {
        withRandom((random) => {
          const quietly = (f: () => unknown): void => {
            try {
              f();
            } catch (error) {
              const known = error instanceof QshmError ||
                (error instanceof DOMException && error.name === "TimeoutError");
              if (!known) throw error;
            }
          };
          for (let round = 0; round < 300; round++) {
            const key = freshKey();
            const memory = SharedMemory.create(key, 100);
            // All of it, its first fields, or the words of lock and key.
            const [from, length] = random.of(
              [[0, 8192], [0, 40], [32, 40], [64, 72], [1024, 100], [4096, 4096]] as const,
            );
            const bytes = random.below(4) === 0 ? new Uint8Array(length).fill(255) : randomBytes(random, length);
            poke(memory.path, from, bytes);
            quietly(() => inspect("memory", key));
            quietly(() => list());
            quietly(() => SharedMemory.attach(key).detach());
            quietly(() => SharedMemory.attach(key, { readOnly: true }).detach());
            quietly(() => SharedMemory.open(key, 100).detach());
            quietly(() => SharedMemory.create(key, 100).detach());
            quietly(() => memory.lockOwner);
            quietly(() => memory.tryLock());
            quietly(() => memory.lockSync({ timeout: 1 }).unlock());
            quietly(() => memory.forceUnlock());
            quietly(() => memory.revision);
            memory.write(Uint8Array.of(1, 2, 3));
            assert.deepEqual([...memory.read(0, 4)], [1, 2, 3, 0]);
            quietly(() => remove("memory", key, { force: true }));
            memory.detach();
            remove("memory", key, { force: true });
          }
        });
      },
    },
    {
      name: "a lock word that names nobody is taken over like a dead owner's",
      needs: "system",
      run() {
        using memory = SharedMemory.create(freshKey(), 1);
        poke(memory.path, 64, new Uint8Array(8).fill(255));
        assert.deepEqual([memory.lockOwner?.alive, memory.lockOwner?.pid], [false, undefined]);
        assert.equal(inspect("memory", memory.key)?.lockOwner?.alive, false);
        const lock = memory.lockSync();
        assert.equal(lock.ownerDied, true);
        lock.unlock();
        assert.equal(memory.lockOwner, undefined);
      },
    },
    {
      name: "any order of calls on a few attachments of one segment ends well",
      run() {
        withRandom((random) => {
          const key = freshKey();
          let attachments: SharedMemory[] = [];
          for (let step = 0; step < 3000; step++) {
            const memory = attachments[random.below(attachments.length + 1)];
            if (memory === undefined || !memory.isAttached) {
              attachments = attachments.filter(({ isAttached }) => isAttached);
              if (attachments.length < 6) attachments.push(SharedMemory.open(key, 64));
              continue;
            }
            const others = attachments.some((other) => other !== memory && other.isAttached);
            switch (random.below(8)) {
              case 0:
                assert.equal(memory.detach(), true);
                assert.equal(inspect("memory", key) !== undefined, others);
                break;
              case 1:
                memory.tryLock();
                break;
              case 2:
                memory.forceUnlock();
                assert.equal(memory.lockOwner, undefined);
                break;
              case 3:
                memory.write(randomBytes(random, random.below(64)));
                break;
              case 4:
                memory.write(Uint8Array.of(step & 255));
                for (const other of attachments) if (other.isAttached) assert.equal(other.read(0, 1)[0], step & 255);
                break;
              case 5:
                assert.equal(memory.release().length, 64);
                break;
              case 6:
                assert.equal(SharedMemory.tryCreate(key, 1), undefined);
                break;
              default:
                assert.equal(
                  inspect("memory", key)?.attached.length,
                  attachments.filter(({ isAttached }) => isAttached).length,
                );
            }
          }
          for (const memory of attachments) memory.detach();
          assert.equal(inspect("memory", key), undefined);
        });
      },
    },
  ],
};
