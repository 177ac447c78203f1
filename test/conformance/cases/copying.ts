/** read, readInto, write, writeIfChanged, and the revision that they move. */

import assert from "node:assert/strict";
import { SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { randomBytes, withRandom } from "../random.ts";

const ascending = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i + 1);

export const copying: Suite = {
  name: "copying",
  cases: [
    {
      name: "read() copies all, from an offset, or a part",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(ascending(5));
        assert.deepEqual([...memory.read()], [1, 2, 3, 4, 5]);
        assert.deepEqual([...memory.read(2)], [3, 4, 5]);
        assert.deepEqual([...memory.read(1, 3)], [2, 3, 4]);
        assert.deepEqual([...memory.read(undefined, 2)], [1, 2]);
        assert.deepEqual([...memory.read(3, undefined)], [4, 5]);
      },
    },
    {
      name: "read() gives an empty array for length 0, and at the very end",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        for (const offset of [0, 3, 5]) assert.equal(memory.read(offset, 0).length, 0);
        assert.equal(memory.read(5).length, 0);
      },
    },
    {
      name: "read() gives a copy: later writes do not change it, and changing it writes nothing",
      run() {
        using memory = SharedMemory.create(freshKey(), 2);
        const copy = memory.read();
        memory.write(Uint8Array.of(1, 1));
        assert.deepEqual([...copy], [0, 0]);
        copy.fill(9);
        assert.deepEqual([...memory.read()], [1, 1]);
      },
    },
    {
      name: "readInto() fills the target and says how much it copied",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(ascending(5));
        const target = new Uint8Array(3);
        assert.equal(memory.readInto(target), 3);
        assert.deepEqual([...target], [1, 2, 3]);
        assert.equal(memory.readInto(target, 1), 3);
        assert.deepEqual([...target], [2, 3, 4]);
      },
    },
    {
      name: "readInto() stops at the segment's end and leaves the rest of the target alone",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(ascending(5));
        const target = new Uint8Array(8).fill(77);
        assert.equal(memory.readInto(target, 3), 2);
        assert.deepEqual([...target], [4, 5, 77, 77, 77, 77, 77, 77]);
        assert.equal(memory.readInto(target, 5), 0);
        assert.equal(memory.readInto(new Uint8Array(0)), 0);
      },
    },
    {
      name: "readInto() and write() respect where a subarray begins and ends",
      run() {
        using memory = SharedMemory.create(freshKey(), 6);
        const around = ascending(10);
        memory.write(around.subarray(4, 7), 2);
        assert.deepEqual([...memory.read()], [0, 0, 5, 6, 7, 0]);
        const target = new Uint8Array(10).fill(77);
        assert.equal(memory.readInto(target.subarray(4, 7), 2), 3);
        assert.deepEqual([...target], [77, 77, 77, 77, 5, 6, 7, 77, 77, 77]);
      },
    },
    {
      name: "readInto() and write() take a Buffer, a SharedArrayBuffer's bytes, and a resizable one's",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(Buffer.from("hello"));
        const buffer = Buffer.alloc(5);
        memory.readInto(buffer);
        assert.equal(buffer.toString(), "hello");
        memory.write(new Uint8Array(new SharedArrayBuffer(5)).fill(4));
        const shared = new Uint8Array(new SharedArrayBuffer(2));
        memory.readInto(shared);
        assert.deepEqual([...shared], [4, 4]);
        const resizable = new Uint8Array(new ArrayBuffer(2, { maxByteLength: 9 }));
        resizable.buffer.resize(5);
        assert.equal(memory.readInto(resizable.fill(1)), 5);
        memory.write(resizable);
        assert.deepEqual([...memory.read()], [4, 4, 4, 4, 4]);
      },
    },
    {
      name: "write() changes what was asked for and nothing beside it",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(ascending(5));
        memory.write(Uint8Array.of(9, 9), 2);
        assert.deepEqual([...memory.read()], [1, 2, 9, 9, 5]);
        memory.write(Uint8Array.of(8), 4);
        memory.write(Uint8Array.of(7));
        assert.deepEqual([...memory.read()], [7, 2, 9, 9, 8]);
      },
    },
    {
      name: "write() takes an empty array, also at the very end",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        memory.write(new Uint8Array(0));
        memory.write(new Uint8Array(0), 5);
        assert.ok(memory.read().every((byte) => byte === 0));
      },
    },
    {
      name: "write() is seen by every other attachment at once",
      run() {
        using one = SharedMemory.create(freshKey(), 3);
        using two = SharedMemory.attach(one.key);
        using reader = SharedMemory.attach(one.key, { readOnly: true });
        one.write(Uint8Array.of(1, 2, 3));
        assert.deepEqual([...two.read()], [1, 2, 3]);
        assert.deepEqual([...reader.read()], [1, 2, 3]);
        assert.equal(reader.readInto(new Uint8Array(9)), 3);
      },
    },
    {
      name: "write() outside throws RangeError and writes nothing",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        assert.throws(() => memory.write(ascending(6)), RangeError);
        assert.throws(() => memory.write(ascending(2), 4), RangeError);
        assert.throws(() => memory.write(new Uint8Array(0), 6), RangeError);
        assert.throws(() => memory.writeIfChanged(ascending(6)), RangeError);
        assert.throws(() => memory.writeIfChanged(ascending(1), 5), RangeError);
        assert.ok(memory.read().every((byte) => byte === 0));
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "read() and readInto() outside throw RangeError",
      run() {
        using memory = SharedMemory.create(freshKey(), 5);
        assert.throws(() => memory.read(6), RangeError);
        assert.throws(() => memory.read(0, 6), RangeError);
        assert.throws(() => memory.read(3, 3), RangeError);
        assert.throws(() => memory.read(5, 1), RangeError);
        assert.throws(() => memory.readInto(new Uint8Array(1), 6), RangeError);
      },
    },
    {
      name: "writeIfChanged() writes only what differs, and says whether it did",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        assert.equal(memory.writeIfChanged(new Uint8Array(4)), false);
        assert.equal(memory.writeIfChanged(Uint8Array.of(0, 0, 0, 1)), true);
        assert.equal(memory.writeIfChanged(Uint8Array.of(0, 0, 0, 1)), false);
        assert.equal(memory.writeIfChanged(Uint8Array.of(1), 2), true);
        assert.equal(memory.writeIfChanged(Uint8Array.of(1), 2), false);
        assert.equal(memory.writeIfChanged(Uint8Array.of(1, 1), 2), false);
        assert.deepEqual([...memory.read()], [0, 0, 1, 1]);
      },
    },
    {
      name: "writeIfChanged() of an empty array changes nothing",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        assert.equal(memory.writeIfChanged(new Uint8Array(0)), false);
        assert.equal(memory.writeIfChanged(new Uint8Array(0), 4), false);
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "revision moves with every write(), in every attachment, and with no read",
      run() {
        using one = SharedMemory.create(freshKey(), 4);
        using two = SharedMemory.attach(one.key);
        const seen = new Set([one.revision]);
        for (let i = 0; i < 10; i++) {
          one.write(Uint8Array.of(1));
          assert.equal(one.revision, two.revision);
          seen.add(one.revision);
        }
        assert.equal(seen.size, 11);
        const before = one.revision;
        one.read();
        one.readInto(new Uint8Array(4));
        assert.equal(one.revision, before);
      },
    },
    {
      name: "revision moves with writeIfChanged() only when that wrote",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        memory.writeIfChanged(Uint8Array.of(0));
        assert.equal(memory.revision, 0);
        memory.writeIfChanged(Uint8Array.of(1));
        assert.notEqual(memory.revision, 0);
      },
    },
    {
      name: "revision starts at 0 again when the segment is created again",
      run() {
        const key = freshKey();
        for (let i = 0; i < 2; i++) {
          using memory = SharedMemory.create(key, 1);
          assert.equal(memory.revision, 0);
          memory.write(Uint8Array.of(1));
        }
      },
    },
    {
      name: "readOnly: write() and writeIfChanged() throw TypeError that says why, and nothing is written",
      run() {
        using memory = SharedMemory.create(freshKey(), 2);
        using reader = SharedMemory.attach(memory.key, { readOnly: true });
        assert.equal(reader.readOnly, true);
        const expected = {
          name: "TypeError",
          message: `Cannot write shared memory "${memory.key}": it is attached read-only`,
        };
        assert.throws(() => reader.write(Uint8Array.of(1)), expected);
        assert.throws(() => reader.writeIfChanged(Uint8Array.of(1)), expected);
        assert.throws(() => reader.write(new Uint8Array(0)), expected);
        assert.deepEqual([...memory.read()], [0, 0]);
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "write() takes bytes that overlap its target, readInto() a target that overlaps its source",
      needs: "view",
      run() {
        const size = 100_000;
        const expected = Uint8Array.from({ length: size }, (_, i) => i % 251);
        for (const distance of [1, 13, 4096]) {
          using memory = SharedMemory.create(freshKey(), size);
          for (const [from, to] of [[0, distance], [distance, 0]] as const) {
            memory.write(expected);
            memory.write(memory.data.subarray(from, size - distance + from), to);
            assert.deepEqual(memory.read(to, size - distance), expected.slice(from, size - distance + from));
            memory.write(expected);
            memory.readInto(memory.data.subarray(to, size - distance + to), from);
            assert.deepEqual(memory.read(to, size - distance), expected.slice(from, size - distance + from));
          }
        }
      },
    },
    {
      name: "read(), readInto(), write() and writeIfChanged() agree with a plain array, whatever the ranges",
      run() {
        withRandom((random) => {
          const size = 10_000;
          using memory = SharedMemory.create(freshKey(), size);
          using other = SharedMemory.attach(memory.key);
          const model = new Uint8Array(size);
          for (let round = 0; round < 500; round++) {
            const offset = random.below(size + 1);
            const length = random.below(size - offset + 1);
            const bytes = randomBytes(random, Math.min(length, 100));
            const writer = random.below(2) === 0 ? memory : other;
            if (random.below(2) === 0) {
              writer.write(bytes, offset);
            } else {
              const differs = bytes.some((byte, i) => model[offset + i] !== byte);
              assert.equal(writer.writeIfChanged(bytes, offset), differs);
            }
            model.set(bytes, offset);
            const from = random.below(size + 1);
            const count = random.below(size - from + 1);
            assert.deepEqual(memory.read(from, count), model.slice(from, from + count));
            const target = new Uint8Array(random.below(300));
            const copied = other.readInto(target, from);
            assert.equal(copied, Math.min(target.length, size - from));
            assert.deepEqual(target.subarray(0, copied), model.slice(from, from + copied));
          }
        });
      },
    },
  ],
};
