/** SharedValue: one whole value; what it is given and gives, who may change it, and following it. */

import assert from "node:assert/strict";
import { truncateSync } from "node:fs";
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  BusyError,
  bytes,
  type Codec,
  IncompatibleError,
  inspect,
  json,
  list,
  MessageTooLargeError,
  QshmError,
  remove,
  SharedMemory,
  SharedValue,
  utf8,
} from "../../../mod.ts";
import { poke } from "../../support/kernel.ts";
import { freshKey, type Suite } from "../case.ts";
import {
  assertDomException,
  bytesOf,
  countListeners,
  countTimers,
  errorOf,
  microtasks,
  rejectionOf,
  thrownBy,
  until,
  watch,
} from "../helpers.ts";
import { killPeer, startPeer, startPeers } from "../peers.ts";
import { randomBytes, withRandom } from "../random.ts";

/** Ends what would otherwise be a hang; no case gets near it. */
const WATCHDOG = { timeout: 60_000 };
const DEFAULT_SIZE = 65536;

/** Where things stand in a value's file. */
const CURRENT = 192;
const STAMPS = 200;
const LENGTHS = 232;
const CAPACITY = 272;
const PIN = 280;
const CODEC = 284;

/** A codec of one's own. */
const date: Codec<Date> = {
  name: "date",
  encode: (value) => new Uint8Array(Float64Array.of(value.getTime()).buffer),
  decode: (there) => new Date(new DataView(there.buffer, there.byteOffset).getFloat64(0, true)),
};

/** Two objects of one value. */
function pair<T>(options: { codec?: Codec<T>; maxSize?: number } = {}): Disposable & {
  one: SharedValue<T>;
  two: SharedValue<T>;
} {
  const one = SharedValue.open<T>(freshKey(), options);
  const two = SharedValue.tryAttach<T>(one.key, options.codec === undefined ? {} : { codec: options.codec })!;
  return {
    one,
    two,
    [Symbol.dispose]() {
      one.close();
      two.close();
    },
  };
}

/** Bytes that tell whether they are whole. */
function checked(seed: number, length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (seed * 31 + i * 7) & 255).fill(seed & 255, 0, 1);
}

export const value: Suite = {
  name: "value",
  cases: [
    {
      name: "open() creates an unset value, or attaches to what is there; all see what one sets",
      run() {
        using one = SharedValue.open<{ a: number[] }>(freshKey());
        using two = SharedValue.open<{ a: number[] }>(one.key);
        using three = SharedValue.tryAttach<{ a: number[] }>(one.key)!;
        for (const object of [one, two, three]) {
          assert.deepEqual([object.get(), object.revision, object.writer], [undefined, 0, undefined]);
          assert.deepEqual([object.key, object.path, object.maxSize], [one.key, one.path, DEFAULT_SIZE]);
        }
        assert.equal(two.set({ a: [1, 2] }), undefined);
        for (const object of [one, two, three]) {
          assert.deepEqual(object.get(), { a: [1, 2] });
          assert.equal(object.revision, 1);
        }
        assert.notEqual(one.get(), one.get(), "a value of one's own each time");
      },
    },
    {
      name: "tryAttach() gives undefined where nothing is, and throws all other errors",
      run() {
        assert.equal(SharedValue.tryAttach(freshKey()), undefined);
        using memory = SharedMemory.create(freshKey(), 1);
        assert.equal(SharedValue.tryAttach(memory.key), undefined, "another kind");
        assert.throws(() => SharedValue.tryAttach(""), TypeError);
        assert.equal(errorOf(() => SharedValue.tryAttach("a", { directory: "/nonexistent/qshm" })).code, "DirectoryNotFound");
        assert.equal(errorOf(() => SharedValue.open("a", { directory: "/nonexistent/qshm" })).code, "DirectoryNotFound");
      },
    },
    {
      name: "json, the default, takes whatever JSON can say",
      run() {
        using place = pair<unknown>();
        const texts = ["", "ä🦕\0\ud800", "x".repeat(60_000)];
        const values = [null, true, false, 0, -1.5, 1e300, ...texts, [], [[]], {}, { a: { b: [null] } }];
        for (const value of values) {
          place.one.set(value);
          assert.deepEqual(place.two.get(), value);
        }
        place.one.set(new Date(0));
        assert.equal(place.two.get(), "1970-01-01T00:00:00.000Z");
        place.one.set([undefined, NaN, { a: undefined }]);
        assert.deepEqual(place.two.get(), [null, null, {}]);
      },
    },
    {
      name: "json throws TypeError for what it cannot say, and the old value stays",
      async run() {
        using place = pair<unknown>();
        place.one.set("old");
        const circle: unknown[] = [];
        circle.push(circle);
        for (const value of [undefined, () => 1, Symbol("a"), 1n, circle]) {
          assert.throws(() => place.one.set(value), TypeError);
          assert.throws(() => place.one.setIfChanged(value), TypeError);
          assert.ok(await rejectionOf(place.one.update(() => value)) instanceof TypeError);
        }
        assert.throws(() => place.one.set(undefined), {
          message: "Value must be one that JSON can say: got undefined",
        });
        assert.deepEqual([place.two.get(), place.two.revision], ["old", 1]);
      },
    },
    {
      name: "bytes takes bytes of any length, as they are, and gives copies of one's own",
      run() {
        using place = pair({ codec: bytes, maxSize: 100_000 });
        const whole = new Uint8Array(300).map((_, i) => i);
        for (const value of [new Uint8Array(0), whole, whole.subarray(7, 90), new Uint8Array(100_000).fill(9)]) {
          place.one.set(value);
          assert.deepEqual(place.two.get(), new Uint8Array(value));
        }
        const mine = Uint8Array.of(1, 2, 3);
        place.one.set(mine);
        mine[0] = 9;
        const got = place.two.get()!;
        assert.deepEqual([...got], [1, 2, 3]);
        got[0] = 7;
        assert.deepEqual([...place.two.get()!], [1, 2, 3]);
        for (const wrong of ["abc", [1], new ArrayBuffer(1), new Uint16Array(1), null, undefined, {}] as never[]) {
          assert.throws(() => place.one.set(wrong), { name: "TypeError", message: /^Value must be a Uint8Array: got / });
        }
        const gone = new Uint8Array(5);
        gone.buffer.transfer();
        assert.throws(() => place.one.set(gone), TypeError);
      },
    },
    {
      name: "bytes that lie about their length are taken for as many as there are",
      run() {
        using place = pair({ codec: bytes, maxSize: 8 });
        class Lying extends Uint8Array {
          override get length(): number {
            return 1_000_000;
          }
        }
        place.one.set(new Lying(Uint8Array.of(1, 2, 3).buffer));
        assert.deepEqual([...place.two.get()!], [1, 2, 3]);
        const own = Object.defineProperty(Uint8Array.of(4, 5), "length", { value: -1 });
        assert.equal(place.one.setIfChanged(own), true);
        assert.equal(place.one.setIfChanged(own), false);
        assert.deepEqual([...place.two.get()!], [4, 5]);
      },
    },
    {
      name: "utf8 takes text, byte order marks and NUL included, and makes U+FFFD of lone surrogates",
      run() {
        using place = pair({ codec: utf8 });
        for (const value of ["", "a", "\ufeffmark", "a\0b", "ä日本🦕", "x".repeat(20_000)]) {
          place.one.set(value);
          assert.equal(place.two.get(), value);
        }
        place.one.set("\ud800");
        assert.equal(place.two.get(), "\ufffd");
        for (const wrong of [1, null, undefined, {}, Uint8Array.of(1)] as never[]) {
          assert.throws(() => place.one.set(wrong), { name: "TypeError", message: /^Value must be a string: got / });
        }
      },
    },
    {
      name: "a codec of one's own is asked for bytes and given bytes; what it throws is thrown, and the old value stays",
      async run() {
        using place = pair({ codec: date });
        place.one.set(new Date(123));
        assert.equal(place.two.get()?.getTime(), 123);
        assert.equal((await place.two.update((there) => new Date(there!.getTime() + 1))).getTime(), 124);
        assert.equal(place.one.get()?.getTime(), 124);
        const mine = new Error("mine");
        const failing: Codec<Date> = {
          name: "date",
          encode: () => {
            throw mine;
          },
          decode: () => {
            throw mine;
          },
        };
        using other = SharedValue.open(place.one.key, { codec: failing });
        assert.equal(thrownBy(() => other.get()), mine);
        assert.equal(thrownBy(() => other.set(new Date(0))), mine);
        assert.equal(thrownBy(() => other.setIfChanged(new Date(0))), mine);
        assert.equal(await rejectionOf(other.update(() => new Date(0))), mine);
        assert.equal(await rejectionOf(other.changes({ initial: true }).next()), mine);
        assert.deepEqual([place.one.get()?.getTime(), place.one.revision], [124, 2]);
        for (const wrong of [undefined, null, "bytes", [1], new ArrayBuffer(8), new Float64Array(1)]) {
          using odd = SharedValue.open(place.one.key, { codec: { ...date, encode: () => wrong as never } });
          assert.throws(() => odd.set(new Date(0)), {
            name: "TypeError",
            message: /^What codec "date" gives must be a Uint8Array: got /,
          });
        }
      },
    },
    {
      name: "a codec's decode() that fails ends a loop with its error, once",
      async run() {
        using place = pair<unknown>();
        using raw = SharedValue.open(place.one.key, { codec: { ...bytes, name: "json" } });
        const iterator = place.two.changes();
        const next = watch(iterator.next());
        raw.set(bytesOf("{"));
        await until(() => next.state !== "pending", "settled");
        assert.ok(next.reason instanceof SyntaxError, `${next.reason}`);
        assert.deepEqual(await iterator.next(), { done: true, value: undefined });
        assert.throws(() => place.one.get(), SyntaxError);
        raw.set(Uint8Array.of(255));
        assert.throws(() => place.one.get(), TypeError, "not UTF-8");
        place.one.set("whole");
        assert.equal(place.two.get(), "whole");
      },
    },
    {
      name: "another codec than the one that is there: IncompatibleError that names it, and no attachment stays",
      run() {
        using place = pair({ codec: utf8 });
        place.one.set("text");
        for (const codec of [json, bytes, date, { ...utf8, name: "utf" }, { ...utf8, name: "utf88" }] as Codec<unknown>[]) {
          for (
            const f of [
              () => SharedValue.open(place.one.key, { codec }),
              () => SharedValue.tryAttach(place.one.key, { codec }),
            ]
          ) {
            const error = errorOf(f);
            assert.ok(error instanceof IncompatibleError, `${error}`);
            assert.deepEqual([error.code, error.key], ["Incompatible", place.one.key]);
            assert.match(error.message, /: it holds values of codec "utf8" /);
          }
        }
        assert.throws(() => SharedValue.open(place.one.key), IncompatibleError);
        assert.equal(inspect("value", place.one.key)?.attached.length, 2);
        using same = SharedValue.open(place.one.key, { codec: { ...utf8 } });
        assert.equal(same.get(), "text");
      },
    },
    {
      name: "open() and tryAttach() refuse codecs, sizes and options that are none, and create nothing",
      run() {
        const both = [
          (options: unknown) => SharedValue.open(freshKey(), options as never),
          (options: unknown) => SharedValue.tryAttach(freshKey(), options as never),
        ];
        for (const f of both) {
          for (const codec of [null, "json", 1, {}, { name: "a" }, { ...json, name: 5 }, { ...json, encode: 1 }, []]) {
            assert.throws(() => f({ codec }), {
              name: "TypeError",
              message: /^Codec must have a name, encode\(\) and decode\(\): got /,
            });
          }
          for (const name of ["", " ", "a b", "ä", "a\0", "a\n", "x".repeat(64)]) {
            assert.throws(() => f({ codec: { ...json, name } }), {
              name: "TypeError",
              message: /^Name of the codec must be 1 to 63 printable ASCII characters: got /,
            });
          }
          for (const options of [null, 1, "x", [], { maxsize: 1 }, { timeout: 1 }]) {
            assert.throws(() => f(options), TypeError);
          }
        }
        assert.throws(() => SharedValue.tryAttach("a", { maxSize: 5 } as never), TypeError);
        for (const maxSize of [0, -1, 1.5, NaN, Infinity, 2 ** 30 + 1, 2 ** 53]) {
          assert.throws(() => SharedValue.open(freshKey(), { maxSize }), {
            name: "RangeError",
            message: /^MaxSize must be a whole number from 1 to 1073741824: got /,
          });
        }
        for (const maxSize of [null, "1", 1n, {}] as never[]) {
          assert.throws(() => SharedValue.open(freshKey(), { maxSize }), TypeError);
        }
        for (const key of ["", "a\0", "\ud800", 1, undefined, null] as never[]) {
          assert.throws(() => SharedValue.open(key), TypeError);
        }
        assert.throws(() => SharedValue.open(freshKey(), { mode: 0o666 }), RangeError);
        assert.throws(() => SharedValue.open(freshKey(), { persistent: 1 } as never), TypeError);
        assert.throws(() => new (SharedValue as unknown as new () => unknown)(), Error);
        using longest = SharedValue.open(freshKey(), { codec: { ...utf8, name: "~".repeat(63) } });
        assert.equal(inspect("value", longest.key)?.value?.codec, "~".repeat(63));
        assert.equal(list().length, 1);
      },
    },
    {
      name: "values of 1 byte to over 1 MiB fit to the last byte, and not one more; the old value stays then",
      async run() {
        for (const maxSize of [1, 2, 63, 64, 65, 4096, DEFAULT_SIZE, 1 << 20, (1 << 20) + 1]) {
          using place = pair({ codec: bytes, maxSize });
          assert.deepEqual([place.one.maxSize, place.two.maxSize], [maxSize, maxSize]);
          for (const length of [maxSize, maxSize - 1, 0]) {
            place.one.set(checked(maxSize, length));
            assert.deepEqual(place.two.get(), checked(maxSize, length));
          }
          place.one.set(checked(5, maxSize));
          for (const length of [maxSize + 1, maxSize + 64, 2 * maxSize + 1000]) {
            const large = new Uint8Array(length);
            for (const f of [() => place.one.set(large), () => place.two.setIfChanged(large)]) {
              const error = errorOf(f);
              assert.ok(error instanceof MessageTooLargeError, `${error}`);
              assert.deepEqual([error.code, error.operation, error.key], ["MessageTooLarge", "set", place.one.key]);
              assert.match(error.message, new RegExp(`: ${length} bytes are more than the ${maxSize} that`));
            }
            assert.ok(await rejectionOf(place.one.update(() => large)) instanceof MessageTooLargeError);
          }
          assert.deepEqual([place.two.get(), place.two.revision], [checked(5, maxSize), 4]);
          await place.one.update(() => checked(6, maxSize)); // the turn was given back
        }
      },
    },
    {
      name: "who opens what is there takes its size",
      run() {
        using one = SharedValue.open(freshKey(), { codec: utf8, maxSize: 10 });
        using two = SharedValue.open(one.key, { codec: utf8, maxSize: 1000 });
        using three = SharedValue.open(one.key, { codec: utf8, maxSize: 1 });
        assert.deepEqual([two.maxSize, three.maxSize], [10, 10]);
        three.set("0123456789");
        assert.equal(two.get(), "0123456789");
        assert.throws(() => two.set("0123456789a"), MessageTooLargeError);
      },
    },
    {
      name: "setIfChanged() sets only what has other bytes",
      run() {
        using place = pair<unknown>();
        const { one, two } = place;
        for (const [value, expected] of [["a", true], ["a", false], ["b", true], ["ab", true], ["a", true]] as const) {
          assert.equal(one.setIfChanged(value), expected);
          assert.equal(two.setIfChanged(value), false);
        }
        assert.equal(one.revision, 4);
        one.set("a");
        assert.equal(one.revision, 5, "set() sets always");
        using empty = SharedValue.open(freshKey(), { codec: bytes });
        assert.equal(empty.setIfChanged(new Uint8Array(0)), true, "no value, and an empty one, are two things");
        assert.equal(empty.setIfChanged(new Uint8Array(0)), false);
        assert.equal(empty.get()?.length, 0);
      },
    },
    {
      name: "writer is who set the value last, and stays known for dead when it has gone",
      needs: "system",
      async run() {
        using value = SharedValue.open<string>(freshKey());
        assert.equal(value.writer, undefined);
        value.set("here");
        const started = value.writer?.startedAt?.getTime() ?? NaN;
        assert.ok(Math.abs(started - performance.timeOrigin) < 60_000, `${started}, ${performance.timeOrigin}`);
        assert.deepEqual([value.writer?.pid, value.writer?.alive], [process.pid, true]);
        assert.equal(inspect("value", value.key)?.value?.writer?.pid, process.pid);
        await using peer = await startPeer();
        await peer.run(({ SharedValue }, state, key) => {
          state.value = SharedValue.tryAttach(key);
          state.value.set("there");
        }, value.key);
        assert.deepEqual([value.get(), value.writer?.pid, value.writer?.alive], ["there", peer.pid, true]);
        await killPeer(peer);
        assert.deepEqual([value.get(), value.writer?.alive], ["there", false]);
        assert.equal(inspect("value", value.key)?.value?.writer?.alive, false);
        value.setIfChanged("there");
        assert.equal(value.writer?.alive, false, "nothing was set");
        value.setIfChanged("mine");
        assert.equal(value.writer?.pid, process.pid);
      },
    },
    {
      name: "revision counts the values that were set, by whomever",
      async run() {
        using place = pair<number>();
        for (let i = 1; i <= 50; i++) {
          const object = i % 2 === 0 ? place.one : place.two;
          if (i % 3 === 0) await object.update(() => i);
          else object.set(i);
          assert.deepEqual([place.one.revision, place.two.revision, place.one.get()], [i, i, i]);
        }
      },
    },
    {
      name: "revision is a number of 53 bits, of its own",
      needs: "system",
      async run() {
        using place = pair<number>();
        place.one.set(1);
        const { path } = place.one;
        const word = new DataView(new ArrayBuffer(8));
        word.setBigUint64(0, (2n ** 32n + 5n) << 3n | 1n, true);
        poke(path, CURRENT, new Uint8Array(word.buffer));
        assert.equal(place.one.revision, 2 ** 32 + 5);
        const iterator = place.two.changes();
        place.one.set(2);
        assert.equal(place.two.revision, 2 ** 32 + 6);
        assert.deepEqual(await iterator.next(), { done: false, value: 2 });
        assert.equal(await place.two.update((n) => n! + 1), 3);
        assert.equal(inspect("value", place.one.key)?.value?.revision, 2 ** 32 + 7);
      },
    },
    {
      name: "inspect() and list() tell of a value, without reading it",
      run() {
        const key = freshKey();
        using value = SharedValue.open<unknown>(key, { maxSize: 100 });
        const look = (): unknown => {
          const { revision, size, maxSize, codec, writer } = inspect("value", key)!.value!;
          return [revision, size, maxSize, codec, writer?.pid];
        };
        assert.deepEqual(look(), [0, 0, 100, "json", undefined]);
        value.set("abc");
        assert.deepEqual(look(), [1, 5, 100, "json", process.pid]);
        value.set([]);
        assert.deepEqual(look(), [2, 2, 100, "json", process.pid]);
        const info = inspect("value", key)!;
        assert.deepEqual([info.kind, info.state, info.semaphore, info.revision], ["value", "live", undefined, 2]);
        assert.deepEqual(list().map(({ kind, value }) => [kind, value?.revision]), [["value", 2]]);
        using memory = SharedMemory.create(freshKey(), 1);
        const other = inspect("memory", memory.key)!;
        assert.deepEqual([other.value, other.semaphore], [undefined, undefined]);
      },
    },
    {
      name: "a persistent value keeps its contents, size and codec when nobody is attached, until remove()",
      run() {
        const key = freshKey();
        SharedValue.open<string>(key, { persistent: true, maxSize: 50, codec: utf8 }).close();
        {
          using unset = SharedValue.tryAttach(key, { codec: utf8 })!;
          assert.equal(unset.get(), undefined);
          unset.set("kept");
        }
        assert.deepEqual([inspect("value", key)?.state, inspect("value", key)?.value?.size], ["dead", 4]);
        using again = SharedValue.open(key, { codec: utf8, maxSize: 9 });
        assert.deepEqual([again.get(), again.revision, again.maxSize, again.writer?.alive], ["kept", 1, 50, false]);
        assert.throws(() => SharedValue.open(key), IncompatibleError);
        again.set("more");
        again.close();
        assert.throws(() => SharedValue.open(key), IncompatibleError, "also when nobody uses it");
        assert.equal(remove("value", key), true);
        using fresh = SharedValue.open(key);
        assert.equal(fresh.get(), undefined);
      },
    },
    {
      name: "the last close() removes a value; closing again is nothing, and all else is a TypeError then",
      async run() {
        const value = SharedValue.open<number>(freshKey());
        const { key, path } = value;
        value.set(1);
        assert.equal(value.close(), undefined);
        value.close();
        value[Symbol.dispose]();
        assert.deepEqual([value.key, value.path], [key, path]);
        const calls = [
          () => value.get(),
          () => value.set(2),
          () => value.setIfChanged(1),
          () => value.revision,
          () => value.writer,
          () => value.changes(),
          () => value.changes({ initial: true }),
        ];
        const message = new RegExp(`^Cannot .* shared value "${key}": it is detached$`);
        for (const f of calls) assert.throws(f, { name: "TypeError", message }, f.toString());
        const error = await rejectionOf(value.update(() => 1));
        assert.ok(error instanceof TypeError);
        assert.match(error.message, message);
        {
          using scoped = SharedValue.open(freshKey());
          assert.equal(list().length, 1);
          scoped.set(1);
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "update() gives f the value there, or undefined, and sets and gives what that gives",
      async run() {
        using place = pair<number>();
        const given: unknown[] = [];
        const f = (there: number | undefined): number => {
          given.push(there);
          return (there ?? 10) + 1;
        };
        assert.equal(await place.one.update(f), 11);
        assert.equal(await place.two.update(f), 12);
        assert.equal(await place.one.update(f, {}), 13);
        assert.deepEqual([given, place.two.get(), place.two.revision], [[undefined, 11, 12], 13, 3]);
      },
    },
    {
      name: "update() of many tasks on several objects loses none, in order on each of them",
      async run() {
        const key = freshKey();
        const objects = [1, 2, 3].map(() => SharedValue.open<{ n: number; by: number[][] }>(key));
        await Promise.all(objects.flatMap((object, at) =>
          Array.from({ length: 50 }, async (_, i) => {
            if (i % 7 === 0) await setImmediate();
            await object.update(({ n, by } = { n: 0, by: [[], [], []] }) => {
              by[at]!.push(i);
              return { n: n + 1, by };
            });
          })));
        const { n, by } = objects[0]!.get()!;
        assert.equal(n, 150);
        for (const list of by) {
          const tasks = Array.from({ length: 50 }, (_, i) => i);
          assert.deepEqual([...list].sort((a, b) => a - b), tasks);
          assert.deepEqual(list.filter((i) => i % 7 !== 0), tasks.filter((i) => i % 7 !== 0));
        }
        for (const object of objects) object.close();
      },
    },
    {
      name: "update() calls f again with what somebody set in between, and loses neither",
      async run() {
        using place = pair<string>();
        const given: unknown[] = [];
        place.one.set("first");
        const result = await place.one.update((there) => {
          given.push(there);
          if (given.length < 4) place.two.set(`set ${given.length}`);
          return `${there} and mine`;
        });
        assert.deepEqual(given, ["first", "set 1", "set 2", "set 3"]);
        assert.deepEqual([result, place.two.get()], ["set 3 and mine", "set 3 and mine"]);
        assert.equal(place.two.revision, 5);
      },
    },
    {
      name: "update() that somebody is always faster than ends by its timeout or an abort, and timers fire meanwhile",
      async run() {
        using place = pair<number>();
        const beaten = (n = 0): number => {
          place.two.set(n + 1);
          return 0;
        };
        const start = performance.now();
        assertDomException(
          await rejectionOf(place.one.update(beaten, { timeout: 30 })),
          "TimeoutError",
          new RegExp(`^Timed out after 30 ms waiting for an update of shared value "${place.one.key}"$`),
        );
        assert.ok(performance.now() - start >= 30);
        const controller = new AbortController();
        const updating = watch(place.one.update(beaten, { signal: controller.signal }));
        await setTimeout(5);
        assert.equal(updating.state, "pending");
        controller.abort("why");
        await until(() => updating.state !== "pending", "aborted");
        assert.equal(updating.reason, "why");
        assert.equal(place.one.get(), place.one.revision, "nothing of it was set");
        assert.equal(await place.two.update(() => 7), 7, "and the turn was given back");
      },
    },
    {
      name: "update() of an unset value sees that it was set in between",
      async run() {
        using place = pair<string>();
        const given: unknown[] = [];
        await place.one.update((there) => {
          given.push(there);
          if (given.length === 1) place.two.set("first");
          return "mine";
        });
        assert.deepEqual(given, [undefined, "first"]);
      },
    },
    {
      name: "update() whose f throws is rejected with that, sets nothing, and the next one has its turn",
      async run() {
        using place = pair<number>();
        place.one.set(1);
        const mine = new Error("mine");
        const failing = place.one.update(() => {
          throw mine;
        });
        const next = place.one.update((n) => n! + 1);
        const other = place.two.update((n) => n! + 1, WATCHDOG);
        assert.equal(await rejectionOf(failing), mine);
        await Promise.all([next, other]);
        assert.deepEqual([place.one.get(), place.one.revision], [3, 3]);
      },
    },
    {
      name: "update() refuses an f that is none, and options of the wrong kind, and sets nothing",
      async run() {
        using place = pair<number>();
        for (const f of [undefined, null, 1, "f", {}] as never[]) {
          const error = await rejectionOf(place.one.update(f));
          assert.ok(error instanceof TypeError);
          assert.match(error.message, /^F must be a function: got /);
        }
        const wrong = [[{ timeout: -1 }, RangeError], [{ timeout: "1" }, TypeError], [{ signal: {} }, TypeError],
          [{ ref: 1 }, TypeError], [{ time: 1 }, TypeError], [null, TypeError]] as const;
        for (const [options, Class] of wrong) {
          const never = (): number => assert.fail("called");
          assert.ok(await rejectionOf(place.one.update(never, options as never)) instanceof Class);
        }
        const aborted = await rejectionOf(place.one.update(() => 1, { signal: AbortSignal.abort("why") }));
        assert.equal(aborted, "why");
        assert.equal(place.one.revision, 0);
      },
    },
    {
      name: "update() may close its value from within f: TypeError, and nothing is set",
      async run() {
        using place = pair<number>();
        const error = await rejectionOf(place.one.update(() => {
          place.one.close();
          return 1;
        }));
        assert.ok(error instanceof TypeError, `${error}`);
        assert.equal(place.two.revision, 0);
        assert.equal(await place.two.update(() => 2, WATCHDOG), 2);
      },
    },
    {
      name: "update() that waits for its turn ends by timeout, abort and close(), and leaves the others theirs",
      needs: "system",
      async run() {
        using value = SharedValue.open<number>(freshKey());
        value.set(0);
        await using peer = await startPeer();
        // Inside f it has the turn, and its thread is blocked until it is told to go on.
        const inside = peer.run(async ({ SharedValue, SharedMemory }, _, key) => {
          const value = SharedValue.tryAttach<number>(key)!;
          const gate = SharedMemory.create(`${key}-gate`, 1);
          return await value.update((n) => {
            gate.waitForChangeSync(0, { timeout: 60_000 });
            return n! + 100;
          });
        }, value.key);
        await until(() => SharedMemory.tryAttach(`${value.key}-gate`)?.detach() === true, "the gate");
        await until(() => inspect("value", value.key)?.lockOwner?.pid === peer.pid, "its turn");
        const controller = new AbortController();
        const { signal } = controller;
        const listeners = countListeners(signal);
        const start = performance.now();
        assertDomException(
          await rejectionOf(value.update(() => assert.fail("called"), { timeout: 20, signal })),
          "TimeoutError",
          new RegExp(`^Timed out after 20 ms waiting for the lock of shared value "${value.key}"$`),
        );
        assert.ok(performance.now() - start >= 20);
        const other = SharedValue.open<number>(value.key);
        const fates = [
          watch(value.update(() => assert.fail("called"), { signal })),
          watch(other.update(() => assert.fail("called"), WATCHDOG)),
          watch(value.update((n) => n! + 1, WATCHDOG)),
        ];
        await setImmediate();
        controller.abort("why");
        other.close();
        await microtasks();
        assert.deepEqual([fates[0]!.state, fates[0]!.reason], ["rejected", "why"]);
        assertDomException(fates[1]!.reason, "AbortError");
        assert.equal(fates[2]!.state, "pending");
        assert.equal(listeners.count, 0);
        value.set(5); // needs no turn
        {
          using gate = SharedMemory.attach(`${value.key}-gate`);
          gate.notify();
        }
        assert.equal(await inside, 105);
        await until(() => fates[2]!.state !== "pending", "its turn");
        assert.deepEqual([fates[2]!.value, value.get()], [106, 106]);
      },
    },
    {
      name: "changes() gives the values that are set from its call on, by whomever, whole and in order",
      async run() {
        using place = pair<string>();
        place.one.set("before");
        const iterator = place.one.changes();
        place.two.set("a");
        assert.deepEqual(await iterator.next(), { done: false, value: "a" });
        place.one.set("own");
        assert.deepEqual(await iterator.next(), { done: false, value: "own" });
        const next = watch(iterator.next());
        await setTimeout(3);
        assert.equal(next.state, "pending");
        place.two.setIfChanged("own");
        await setTimeout(3);
        assert.equal(next.state, "pending", "nothing was set");
        place.two.set("own");
        await until(() => next.state !== "pending", "set");
        assert.deepEqual(next.value, { done: false, value: "own" }, "the same, set again");
        await iterator.return!();
      },
    },
    {
      name: "changes({ initial: true }) begins with the value there; of an unset one it waits for the first",
      async run() {
        using place = pair<string>();
        for (const initial of [true, false]) {
          const iterator = place.one.changes({ initial });
          const first = watch(iterator.next());
          await setTimeout(3);
          assert.equal(first.state, "pending");
          place.two.set(`first ${initial}`);
          await until(() => first.state !== "pending", "set");
          assert.deepEqual(first.value, { done: false, value: `first ${initial}` });
          await iterator.return!();
        }
        const iterator = place.one.changes({ initial: true });
        assert.deepEqual(await iterator.next(), { done: false, value: "first false" });
        const next = watch(iterator.next());
        await setTimeout(3);
        assert.equal(next.state, "pending");
        place.one.set("next");
        await until(() => next.state !== "pending", "set");
        await iterator.return!();
      },
    },
    {
      name: "changes() gives a slow consumer fewer values than were set, never an older one, and the newest at the end",
      async run() {
        using place = pair<number>();
        const iterator = place.one.changes();
        for (let i = 1; i <= 1000; i++) place.two.set(i);
        assert.deepEqual(await iterator.next(), { done: false, value: 1000 });
        const setting = (async () => {
          for (let i = 1001; i <= 1300; i++) {
            place.two.set(i);
            if (i % 10 === 0) await setImmediate();
          }
        })();
        const seen: number[] = [];
        for await (const n of iterator) {
          seen.push(n);
          if (n === 1300) break;
          await setTimeout(1);
        }
        await setting;
        assert.ok(seen.length < 300);
        assert.deepEqual(seen, [...new Set(seen)].sort((a, b) => a - b));
      },
    },
    {
      name: "changes() ends by break, abort and close(), in the same turn, and leaves no listener; close() ends the timer",
      async run() {
        using timers = countTimers();
        for (const end of ["break", "abort", "close", "return"] as const) {
          const value = SharedValue.open<number>(freshKey());
          value.set(1);
          const controller = new AbortController();
          const listeners = countListeners(controller.signal);
          const iterator = value.changes({ signal: controller.signal });
          if (end === "break") {
            value.set(2);
            for await (const _ of iterator) break;
          } else {
            const fates = [watch(iterator.next()), watch(iterator.next())];
            await setImmediate();
            if (end === "abort") controller.abort();
            else if (end === "close") value.close();
            else void iterator.return!();
            await microtasks();
            for (const fate of fates) assert.deepEqual(fate.value, { done: true, value: undefined }, end);
          }
          assert.deepEqual(await iterator.next(), { done: true, value: undefined });
          assert.equal(listeners.count, 0, end);
          value.close();
          assert.equal(timers.count, 0, end);
        }
        using value = SharedValue.open(freshKey());
        for (const options of [{ initial: 1 }, { signal: {} }, { ref: "" }, { timeout: 1 }, null, 1] as never[]) {
          assert.throws(() => value.changes(options), TypeError);
        }
      },
    },
    {
      name: "1,000 values set and read in turn by processes of each runtime are whole, and wake loops here and there",
      needs: "system",
      async run() {
        using place = pair({ codec: bytes, maxSize: 5000 });
        await using others = await startPeers();
        for (const peer of others.peers) {
          await peer.run(({ SharedValue, bytes }, state, key) => {
            state.value = SharedValue.tryAttach(key, { codec: bytes });
            state.echo = (async () => {
              for await (const seen of state.value.changes()) {
                if (seen[0] % 2 === 0) state.value.set(Uint8Array.of(seen[0] + 1, ...seen.subarray(1)));
              }
            })();
          }, place.one.key);
          const iterator = place.one.changes();
          for (let i = 0; i < 100; i++) {
            const sent = checked(i * 2, 1 + i * 40);
            place.two.set(sent);
            for (;;) {
              const { value: seen } = await iterator.next();
              if (seen[0] === ((i * 2) & 255) + 1) {
                assert.deepEqual(seen.subarray(1), sent.subarray(1), peer.runtime);
                break;
              }
            }
          }
          await iterator.return!();
          await peer.run((_, { value, echo }) => {
            value.close();
            return echo;
          });
        }
      },
    },
    {
      name: "no value is ever seen torn or older than the last, while processes of all runtimes set at full speed",
      needs: "system",
      async run() {
        for (const size of [16, 100_000]) {
          using place = pair({ codec: bytes, maxSize: size });
          await using others = await startPeers();
          const rounds = size === 16 ? 2000 : 200;
          const setting = Promise.all(others.peers.map((peer, at) =>
            peer.run(async ({ SharedValue, bytes }, _, [key, size, rounds, at]) => {
              using value = SharedValue.tryAttach(key as string, { codec: bytes })!;
              for (let i = 0; i < (rounds as number); i++) {
                value.set(new Uint8Array(size as number).fill((i + 80 * (at as number)) & 255));
                if (i % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
              }
            }, [place.one.key, size, rounds, at] as const)));
          const done = watch(setting);
          let last = 0;
          let reads = 0;
          while (done.state === "pending") {
            for (let i = 0; i < 20; i++) {
              const before = place.one.revision;
              const seen = place.one.get();
              assert.ok(before >= last, `${before} >= ${last}`);
              last = before;
              reads++;
              if (seen === undefined) continue;
              assert.equal(seen.length, size);
              assert.ok(seen.every((byte) => byte === seen[0]), "torn");
            }
            await setImmediate();
          }
          await setting;
          assert.ok(reads > 0);
          assert.equal(place.one.revision, rounds * others.peers.length);
        }
      },
    },
    {
      name: "update() from processes of all runtimes at once counts exactly, beside others that set other fields",
      needs: "system",
      async run() {
        using value = SharedValue.open<{ n: number }>(freshKey());
        await using others = await startPeers();
        const here = Array.from({ length: 50 }, () => value.update(({ n } = { n: 0 }) => ({ n: n + 1 }), WATCHDOG));
        await Promise.all([
          ...here,
          ...others.peers.map((peer) =>
            peer.run(async ({ SharedValue }, _, key) => {
              using value = SharedValue.tryAttach<{ n: number }>(key)!;
              for (let i = 0; i < 30; i++) await value.update(({ n } = { n: 0 }) => ({ n: n + 1 }), { timeout: 60_000 });
              await Promise.all(Array.from({ length: 20 }, () =>
                value.update(({ n } = { n: 0 }) => ({ n: n + 1 }), { timeout: 60_000 })));
            }, value.key)),
        ]);
        assert.deepEqual(value.get(), { n: 50 + 50 * others.peers.length });
      },
    },
    {
      name: "a process that is killed while it sets, or has its turn, leaves a whole value and the turn to the next",
      needs: "system",
      async run() {
        using value = SharedValue.open(freshKey(), { codec: bytes, maxSize: 200_000 });
        for (let round = 0; round < 4; round++) {
          await using peer = await startPeer();
          const setting = peer.run(({ SharedValue, bytes }, _, [key, round]) => {
            const value = SharedValue.tryAttach(key as string, { codec: bytes })!;
            if (round === 3) {
              return value.update(() => {
                for (;;) value.set(Uint8Array.of(7));
              });
            }
            for (let i = 0;; i++) value.set(new Uint8Array(200_000).fill(i & 255));
          }, [value.key, round] as const);
          setting.catch(() => {});
          const before = value.revision;
          await until(() => value.revision > before + 20, "it sets");
          await killPeer(peer);
          const seen = value.get()!;
          assert.ok(seen.every((byte) => byte === seen[0]), "torn");
          value.set(Uint8Array.of(42));
          assert.deepEqual([...value.get()!], [42]);
          assert.deepEqual([...await value.update((there) => Uint8Array.of(there![0]! + 1), WATCHDOG)], [43]);
        }
      },
    },
    {
      name: "buffers that all belong to stopped writers: BusyError after a second, and reading goes on",
      needs: "system",
      async run() {
        using value = SharedValue.open<string>(freshKey());
        await using peer = await startPeer();
        await peer.run(({ SharedValue }, state, key) => void (state.value = SharedValue.tryAttach(key)), value.key);
        value.set("there");
        // Its claims, as if it were stopped in the midst of three: it is the second to attach.
        const stamps = new DataView(new ArrayBuffer(32));
        for (let i = 0; i < 4; i++) stamps.setUint32(8 * i + 4, 2, true);
        poke(value.path, STAMPS, new Uint8Array(stamps.buffer));
        for (const f of [() => value.set("new"), () => value.setIfChanged("new")]) {
          const error = thrownBy(f);
          assert.ok(error instanceof BusyError, `${error}`);
          assert.deepEqual([error.code, error.operation, error.pid], ["Busy", "set", peer.pid]);
          assert.match(error.message, /process \d+/);
        }
        assert.ok(await rejectionOf(value.update(() => "new")) instanceof BusyError);
        assert.deepEqual([value.get(), value.revision], ["there", 1]);
        await killPeer(peer);
        value.set("new");
        assert.equal(value.get(), "new");
      },
    },
    {
      name: "garbage in the words of a value gives values, or typed errors, whatever it is: no crash, no hang",
      needs: "system",
      run() {
        withRandom((random) => {
          const quietly = (f: () => unknown): void => {
            try {
              f();
            } catch (error) {
              const known = error instanceof QshmError || error instanceof TypeError || error instanceof RangeError;
              if (!known) throw error;
            }
          };
          const parts = [[CURRENT, 8], [LENGTHS, 32], [CAPACITY, 8], [PIN, 4], [CODEC, 64], [STAMPS, 8], [CURRENT, 100]];
          for (let round = 0; round < 60; round++) {
            const value = SharedValue.open(freshKey(), { codec: bytes, maxSize: 300 });
            value.set(Uint8Array.of(1, 2, 3));
            const [at, length] = random.of(parts) as [number, number];
            poke(value.path, at, random.below(4) === 0 ? new Uint8Array(length).fill(255) : randomBytes(random, length));
            quietly(() => value.get());
            quietly(() => value.revision);
            quietly(() => value.writer);
            quietly(() => inspect("value", value.key));
            quietly(() => list());
            quietly(() => SharedValue.tryAttach(value.key, { codec: bytes })?.close());
            quietly(() => SharedValue.open(value.key, { codec: bytes }).close());
            quietly(() => value.set(new Uint8Array(300)));
            quietly(() => value.set(new Uint8Array(0)));
            quietly(() => value.setIfChanged(Uint8Array.of(4)));
            quietly(() => assert.ok(value.get()!.length <= 320));
            value.close();
            remove("value", value.key, { force: true });
          }
        });
      },
    },
    {
      name: "a revision beyond all bounds: update() ends, with a value or a typed error",
      needs: "system",
      async run() {
        for (const sequence of [2n ** 53n - 2n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 61n - 2n, 2n ** 61n - 1n]) {
          using place = pair<number>();
          place.one.set(1);
          const word = new DataView(new ArrayBuffer(8));
          word.setBigUint64(0, sequence << 3n | 1n, true);
          poke(place.one.path, CURRENT, new Uint8Array(word.buffer));
          let calls = 0;
          const updating = place.one.update((n) => {
            assert.ok(++calls < 100, "it goes on for ever");
            return (n ?? 0) + 1;
          });
          await updating.catch((error: unknown) => {
            assert.ok(error instanceof QshmError || error instanceof TypeError, `${error}`);
          });
          assert.ok(Number.isFinite(place.two.revision));
          place.two.set(5);
          assert.equal(place.one.get() ?? 5, 5);
        }
      },
    },
    {
      name: "a value's file that is cut short is refused to newcomers",
      needs: "system",
      run() {
        const key = freshKey();
        SharedValue.open(key, { persistent: true }).close();
        truncateSync(inspect("value", key)!.path, 8192 + 100);
        const error = errorOf(() => SharedValue.open(key));
        assert.ok(error instanceof IncompatibleError, `${error}`);
        assert.equal(remove("value", key, { force: true }), true);
      },
    },
  ],
};
