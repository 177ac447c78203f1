/** Arguments of the wrong kind or out of range: refused before anything happens. */

import assert from "node:assert/strict";
import { inspect, list, remove, SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { thrownBy } from "../helpers.ts";

/** Not a whole number at all. */
const NO_NUMBERS = ["1", "", 1n, true, null, {}, [], [1], () => 1, Symbol("1"), Object(1)];
/** A number, but nowhere a size, offset or length. */
const BAD_NUMBERS = [-1, 1.5, 0.1, NaN, Infinity, -Infinity, 2 ** 53, Number.MAX_VALUE, -(2 ** 31), -Number.MIN_VALUE];
/** Not bytes. `Object.create` passes instanceof, and nothing else. */
const NO_BYTES = [
  undefined,
  null,
  "abc",
  5,
  [1, 2],
  {},
  { length: 1, 0: 1 },
  new ArrayBuffer(1),
  new SharedArrayBuffer(1),
  new Uint16Array(1),
  new Int8Array(1),
  new Uint8ClampedArray(1),
  new Float64Array(1),
  new BigUint64Array(1),
  new DataView(new ArrayBuffer(1)),
  Object.create(Uint8Array.prototype),
];

const show = (value: unknown): string =>
  typeof value === "object" ? Object.prototype.toString.call(value) : String(value);

function assertThrows(f: () => unknown, Class: typeof TypeError | typeof RangeError, what: string): Error {
  const error = thrownBy(f);
  assert.ok(error instanceof Class, `${what}: ${error}`);
  return error;
}

export const validation: Suite = {
  name: "validation",
  cases: [
    {
      name: "create() and open() throw for sizes that are none, and create nothing",
      run() {
        for (const make of [SharedMemory.create, SharedMemory.tryCreate, SharedMemory.open]) {
          for (const size of [undefined, ...NO_NUMBERS]) {
            const error = assertThrows(() => make(freshKey(), size as number), TypeError, show(size));
            assert.match(error.message, /^Size must be a number: got /);
          }
          for (const size of [0, -0, ...BAD_NUMBERS]) {
            const error = assertThrows(() => make(freshKey(), size), RangeError, show(size));
            assert.match(error.message, /^Size must be a whole number from 1 to \d+: got /);
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "read() throws for offsets and lengths that are none",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        for (const value of NO_NUMBERS) {
          assertThrows(() => memory.read(value as number), TypeError, `offset ${show(value)}`);
          assertThrows(() => memory.read(0, value as number), TypeError, `length ${show(value)}`);
        }
        for (const value of [...BAD_NUMBERS, 11]) {
          assertThrows(() => memory.read(value), RangeError, `offset ${show(value)}`);
          assertThrows(() => memory.read(value, 0), RangeError, `offset ${show(value)}`);
          assertThrows(() => memory.read(0, value), RangeError, `length ${show(value)}`);
        }
        assert.throws(() => memory.read(4, 7), {
          name: "RangeError",
          message: "Length must be a whole number from 0 to 6: got 7",
        });
      },
    },
    {
      name: "readInto(), write() and writeIfChanged() throw for offsets that are none",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        const bytes = Uint8Array.of(1);
        const calls = [
          (offset: number) => memory.readInto(bytes, offset),
          (offset: number) => memory.write(bytes, offset),
          (offset: number) => memory.writeIfChanged(bytes, offset),
        ];
        for (const call of calls) {
          for (const value of NO_NUMBERS) assertThrows(() => call(value as number), TypeError, show(value));
          for (const value of [...BAD_NUMBERS, 11]) assertThrows(() => call(value), RangeError, show(value));
        }
        assert.ok(memory.read().every((byte) => byte === 0));
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "readInto(), write() and writeIfChanged() throw TypeError for what is no Uint8Array",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        for (const value of NO_BYTES) {
          const bytes = value as Uint8Array;
          assertThrows(() => memory.readInto(bytes), TypeError, show(value));
          assertThrows(() => memory.write(bytes), TypeError, show(value));
          assertThrows(() => memory.writeIfChanged(bytes), TypeError, show(value));
        }
        assert.throws(() => memory.write("abc" as never), { message: "Bytes must be a Uint8Array: got string" });
        assert.throws(() => memory.readInto(null as never), { message: "Target must be a Uint8Array: got null" });
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "readInto() and write() believe no length that an array only claims",
      run() {
        class Liar extends Uint8Array {
          override get length(): number {
            return 1 << 20;
          }
          override get byteLength(): number {
            return 1 << 20;
          }
        }
        const own = Object.defineProperty(new Uint8Array(4), "length", { value: 1 << 20 });
        using memory = SharedMemory.create(freshKey(), 1 << 21);
        memory.write(new Uint8Array(1 << 21).fill(1));
        for (const liar of [new Liar(4), own]) {
          assert.equal(memory.readInto(liar), 4);
          memory.write(liar, 100);
          assert.equal(memory.read(104, 1)[0], 1);
          assert.equal(memory.writeIfChanged(liar, 100), false);
        }
      },
    },
    {
      name: "readInto(), write() and writeIfChanged() throw TypeError for an array whose buffer is gone",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        const bytes = Uint8Array.of(1, 2, 3);
        bytes.buffer.transfer();
        assertThrows(() => memory.readInto(bytes), TypeError, "readInto");
        assertThrows(() => memory.write(bytes), TypeError, "write");
        assertThrows(() => memory.writeIfChanged(bytes), TypeError, "writeIfChanged");
        assert.equal(memory.revision, 0);
      },
    },
    {
      name: "inspect() and remove() throw TypeError for a kind that is none",
      run() {
        for (
          const kind of ["", "Memory", "m", "file", "toString", "__proto__", undefined, null, 1, {}, ["memory"], 1n]
        ) {
          for (const f of [() => inspect(kind as never, "a"), () => remove(kind as never, "a")]) {
            const error = assertThrows(f, TypeError, show(kind));
            assert.match(error.message, /^Kind must be "memory", "value", "semaphore" or "instance": got /);
          }
        }
      },
    },
    {
      name: "a refused argument leaves no attachment and no file behind",
      run() {
        using memory = SharedMemory.create(freshKey(), 10);
        assert.throws(() => SharedMemory.open(memory.key, 10, { mode: 1 }), RangeError);
        assert.throws(() => SharedMemory.attach(memory.key, { readOnly: 1 as never }), TypeError);
        assert.throws(() => SharedMemory.create(freshKey(), 10, { persistent: "yes" as never }), TypeError);
        assert.deepEqual(list().map(({ attached }) => attached.length), [1]);
      },
    },
  ],
};
