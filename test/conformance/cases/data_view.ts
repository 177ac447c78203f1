/** The zero-copy view while attached; what becomes of it afterwards stands in memory_safety.ts. */

import assert from "node:assert/strict";
import { SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";

export const dataView: Suite = {
  name: "data view",
  cases: [
    {
      name: "data gives the same array each time",
      needs: "view",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        assert.ok(memory.data instanceof Uint8Array);
        assert.equal(memory.data, memory.data);
        assert.equal(memory.data.buffer, memory.data.buffer);
      },
    },
    {
      name: "data spans the payload and nothing else",
      needs: "view",
      run() {
        for (const size of [1, 4095, 4096, 4097, 100_000]) {
          using memory = SharedMemory.create(freshKey(), size);
          assert.equal(memory.data.length, size);
          assert.equal(memory.data.byteOffset, 0);
          assert.equal(memory.data.buffer.byteLength, size);
          memory.data[size] = 1; // outside: ignored, as in every typed array
          assert.equal(memory.data[size], undefined);
        }
      },
    },
    {
      name: "data is seen by read(), write() is seen in data, in all attachments",
      needs: "view",
      run() {
        using one = SharedMemory.create(freshKey(), 4);
        using two = SharedMemory.attach(one.key);
        one.data.set([1, 2, 3, 4]);
        assert.deepEqual([...one.read()], [1, 2, 3, 4]);
        assert.deepEqual([...two.read()], [1, 2, 3, 4]);
        assert.deepEqual([...two.data], [1, 2, 3, 4]);
        two.write(Uint8Array.of(9), 3);
        assert.deepEqual([...one.data], [1, 2, 3, 9]);
      },
    },
    {
      name: "data takes its bytes from what was written before it was first asked for",
      needs: "view",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        memory.write(Uint8Array.of(1, 2, 3, 4));
        assert.deepEqual([...memory.data], [1, 2, 3, 4]);
      },
    },
    {
      name: "data tells nobody: revision stays",
      needs: "view",
      run() {
        using memory = SharedMemory.create(freshKey(), 4);
        memory.data.fill(7);
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "data is aligned for every kind of view, and for Atomics",
      needs: "view",
      run() {
        using one = SharedMemory.create(freshKey(), 64);
        using two = SharedMemory.attach(one.key);
        new Float64Array(one.data.buffer)[1] = Math.PI;
        assert.equal(new Float64Array(two.data.buffer)[1], Math.PI);
        Atomics.add(new BigUint64Array(one.data.buffer), 0, 2n ** 40n);
        Atomics.add(new BigUint64Array(two.data.buffer), 0, 1n);
        assert.equal(Atomics.load(new BigUint64Array(one.data.buffer), 0), 2n ** 40n + 1n);
      },
    },
    {
      name: "data of different segments does not overlap",
      needs: "view",
      run() {
        const segments = Array.from({ length: 20 }, () => SharedMemory.create(freshKey(), 5000));
        segments.forEach(({ data }, i) => data.fill(i + 1));
        segments.forEach(({ data }, i) => assert.ok(data.every((byte) => byte === i + 1)));
        for (const segment of segments) segment.detach();
      },
    },
    {
      name: "data with readOnly follows the segment; what is stored in it reaches nobody, and read() still follows",
      needs: "view",
      run() {
        using writer = SharedMemory.create(freshKey(), 3 * 4096);
        using reader = SharedMemory.attach(writer.key, { readOnly: true });
        writer.write(Uint8Array.of(1), 0);
        assert.equal(reader.data[0], 1);
        writer.write(Uint8Array.of(2), 0);
        assert.equal(reader.data[0], 2, "follows");

        reader.data[0] = 99; // the first page stops following
        assert.equal(reader.data[0], 99);
        assert.equal(writer.read(0, 1)[0], 2, "reached nobody");
        assert.equal(writer.data[0], 2);
        using another = SharedMemory.attach(writer.key, { readOnly: true });
        assert.equal(another.data[0], 2);

        writer.write(Uint8Array.of(3), 0);
        writer.write(Uint8Array.of(4), 2 * 4096);
        assert.equal(reader.read(0, 1)[0], 3, "read() follows");
        assert.equal(reader.data[2 * 4096], 4, "the other pages follow");
      },
    },
    {
      name: "data with readOnly is private from the first store, wherever that is",
      needs: "view",
      run() {
        using writer = SharedMemory.create(freshKey(), 4 * 4096 + 10);
        using reader = SharedMemory.attach(writer.key, { readOnly: true });
        reader.data.fill(255);
        assert.ok(reader.data.every((byte) => byte === 255));
        assert.ok(writer.read().every((byte) => byte === 0));
      },
    },
  ],
};
