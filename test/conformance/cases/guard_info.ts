/** What the holder of a guard tells of itself, and how it arrives: info, payloads, arguments, and who was refused. */

import assert from "node:assert/strict";
import {
  AlreadyRunningError,
  type InstanceInfo,
  list,
  MessageTooLargeError,
  type Payload,
  QshmError,
  SingleInstance,
} from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { bytesOf, errorOf, refusalOf, rejectionOf, thrownBy } from "../helpers.ts";
import { randomBytes, withRandomAsync } from "../random.ts";

/** Bytes for arguments and data together, with what tells their lengths. */
const CAPACITY = 61376;
/** Of those: the arguments' length (4), and what kind of data follows (1). */
const OVERHEAD = 5;
/** The most that data may take: the arguments need room to say that they are missing. */
const MOST_DATA = CAPACITY - OVERHEAD - bytesOf('["…"]').length;

/** What others are told of a guard that is held with these options. Both ways to ask tell the same. */
async function told(options: { data?: unknown; args?: readonly string[] }): Promise<InstanceInfo> {
  const name = freshKey();
  using _guard = await SingleInstance.acquire(name, options as { data?: Payload });
  using running = await SingleInstance.connect(name);
  const { primary } = await refusalOf(SingleInstance.acquire(name));
  assert.deepEqual(primary, running.info);
  return running.info;
}

/** The TypeError for data that is neither JSON nor bytes; as a rejection and as an exception. */
async function refusedData(data: unknown): Promise<string> {
  const name = freshKey();
  const options = { data: data as Payload };
  const rejected = await rejectionOf(SingleInstance.acquire(name, options));
  const thrown = thrownBy(() => SingleInstance.tryAcquire(name, options));
  assert.ok(rejected instanceof TypeError && thrown instanceof TypeError, `${rejected}, ${thrown}`);
  assert.equal(rejected.message, thrown.message);
  assert.deepEqual(list(), []);
  return rejected.message;
}

/** JSON of every kind. */
const JSON_VALUES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  1,
  -1,
  0.1,
  1e-320,
  5e-324,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  Number.MAX_SAFE_INTEGER,
  Number.EPSILON,
  2 ** 64,
  "",
  "text",
  "\0\n\t\r\b\f\"\\/\x7f\x1f",
  "ä日本🦕\u2028\u2029\ufeff\uffff\u{10ffff}",
  "\ufeffmark",
  "\ud800",
  "\udc00\ud800",
  "a\ud83eb",
  "…",
  [],
  {},
  [[]],
  [{}],
  [[], [[]], [[[null]]]],
  [1, "2", null, [true, { a: [] }]],
  { a: { b: { c: [1, { d: null }] } } },
  { "": 0, " ": 1, "a.b": 2, "\ud800": 3, "\0": 4, "1": 5, "0": 6, "-1": 7 },
  { constructor: 1, toString: 2, hasOwnProperty: 3, then: 4, length: 5 },
  { toJSON: "no function" },
  Object.assign(Object.create(null), { a: 1 }),
];

export const guardInfo: Suite = {
  name: "guard info",
  cases: [
    {
      name: "AlreadyRunningError tells who holds the guard, in full",
      async run() {
        const name = freshKey();
        using _guard = await SingleInstance.acquire(name, { args: ["serve", "--port", "80"], data: { port: 80 } });
        const error = await refusalOf(SingleInstance.acquire(name));
        assert.ok(error instanceof QshmError && error instanceof Error);
        assert.equal(error.constructor, AlreadyRunningError);
        assert.deepEqual(
          [error.name, error.code, error.operation, error.key, error.pid, error.syscall, error.errno, error.cause],
          ["AlreadyRunningError", "AlreadyRunning", "acquire", name, process.pid, undefined, undefined, undefined],
        );
        const primary = error.primary!;
        assert.deepEqual(Object.keys(primary).sort(), ["alive", "args", "cwd", "data", "pid", "startedAt"]);
        assert.equal(primary.pid, process.pid);
        assert.equal(primary.alive, true);
        const started = primary.startedAt?.getTime() ?? NaN;
        assert.ok(Math.abs(started - performance.timeOrigin) < 60_000, `${started}, ${performance.timeOrigin}`);
        assert.deepEqual(primary.args, ["serve", "--port", "80"]);
        assert.match(primary.cwd, /^\//);
        assert.deepEqual(primary.data, { port: 80 });
        assert.equal(
          error.message,
          `Cannot acquire instance ${JSON.stringify(name)}: process ${process.pid} holds it, ` +
            `started ${primary.startedAt!.toISOString()}: serve --port 80`,
        );
      },
    },
    {
      name: "AlreadyRunningError of a holder without arguments ends behind its start",
      async run() {
        const name = freshKey('it\'s "mine"\n');
        using _guard = await SingleInstance.acquire(name, { args: [] });
        const { message, key } = await refusalOf(SingleInstance.acquire(name));
        assert.equal(key, name);
        assert.ok(message.startsWith(`Cannot acquire instance ${JSON.stringify(name)}: process `), message);
        assert.match(message, /, started \d{4}-[-\dT:.]+Z$/);
      },
    },
    {
      name: "the working directory is the holder's",
      needs: "system",
      async run() {
        assert.equal((await told({})).cwd, process.cwd());
      },
    },
    {
      name: "args are the program's own unless given, and data is undefined",
      async run() {
        const { args, data } = await told({});
        assert.deepEqual(args, process.argv.slice(2));
        assert.equal(args.length, 2);
        assert.equal(data, undefined);
        assert.deepEqual((await told({ args: [] })).args, []);
      },
    },
    {
      name: "what is told is frozen, and each time an object of its own",
      async run() {
        const name = freshKey();
        const args = ["a"];
        using _guard = await SingleInstance.acquire(name, { args, data: [1] });
        args.push("b");
        const { primary } = await refusalOf(SingleInstance.acquire(name));
        using running = await SingleInstance.connect(name);
        for (const info of [primary!, running.info]) {
          assert.ok(Object.isFrozen(info) && Object.isFrozen(info.args));
          assert.throws(() => (info as { pid: number }).pid = 1, TypeError);
          assert.throws(() => (info.args as string[]).push("x"), TypeError);
          assert.deepEqual(info.args, ["a"], "as they were when the guard was acquired");
        }
        assert.notEqual(primary, running.info);
        assert.notEqual(primary!.data, running.info.data);
      },
    },
    {
      name: "data is what it was when the guard was acquired",
      async run() {
        const name = freshKey();
        const bytes = Uint8Array.of(1, 2, 3);
        using _guard = await SingleInstance.acquire(name, { data: bytes });
        bytes.fill(9);
        using first = await SingleInstance.connect(name);
        (first.info.data as Uint8Array).fill(7);
        using second = await SingleInstance.connect(name);
        assert.deepEqual(second.info.data, Uint8Array.of(1, 2, 3));
      },
    },
    {
      name: "nothing of a former holder is told of the next one, whether that says more or less",
      async run() {
        const name = freshKey();
        for (const size of [1000, 10, 60_000, 0, 5]) {
          const options = { data: "d".repeat(size), args: Array(size % 7).fill("a") };
          using _guard = await SingleInstance.acquire(name, options);
          using running = await SingleInstance.connect(name);
          assert.equal(running.info.data, options.data);
          assert.deepEqual(running.info.args, options.args);
        }
        using _guard = await SingleInstance.acquire(name, { args: [] });
        using running = await SingleInstance.connect(name);
        assert.deepEqual([running.info.data, running.info.args], [undefined, []]);
      },
    },
    {
      name: "JSON of every kind arrives as it was",
      async run() {
        for (const value of [...JSON_VALUES, JSON_VALUES, { all: JSON_VALUES }]) {
          const { data } = await told({ data: value });
          assert.equal(JSON.stringify(data), JSON.stringify(value));
          assert.deepEqual(data, JSON.parse(JSON.stringify(value)));
        }
      },
    },
    {
      name: "members named __proto__ arrive as members, and change no prototype",
      async run() {
        for (const text of ['{"__proto__":{"polluted":1}}', '{"a":[{"__proto__":null}]}', '{"__proto__":[1,2]}']) {
          const { data } = await told({ data: JSON.parse(text) });
          assert.equal(JSON.stringify(data), text);
          assert.equal(Object.getPrototypeOf(data), Object.prototype);
        }
        assert.equal(({} as { polluted?: number }).polluted, undefined);
      },
    },
    {
      name: "an object that stands in several places, but not within itself, arrives in each of them",
      async run() {
        const shared = { a: [1] };
        assert.deepEqual((await told({ data: [shared, { b: shared }, shared] })).data, [
          { a: [1] },
          { b: { a: [1] } },
          { a: [1] },
        ]);
      },
    },
    {
      name: "values nested a thousand deep arrive",
      async run() {
        const text = "[".repeat(1000) + '{"a":'.repeat(1000) + "0" + "}".repeat(1000) + "]".repeat(1000);
        const name = freshKey();
        using _guard = await SingleInstance.acquire(name, { data: JSON.parse(text) });
        using running = await SingleInstance.connect(name);
        assert.equal(JSON.stringify(running.info.data), text);
      },
    },
    {
      name: "values nested deeper than there is room are refused, and nothing is held",
      async run() {
        let data: Payload = 0;
        for (let i = 0; i < 40_000; i++) data = [data];
        const error = await rejectionOf(SingleInstance.acquire(freshKey(), { data }));
        assert.ok(error instanceof MessageTooLargeError || error instanceof RangeError, `${error}`);
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "random JSON arrives as it was",
      run() {
        return withRandomAsync(async (random) => {
          const value = (depth: number): unknown => {
            switch (random.below(depth > 5 ? 4 : 6)) {
              case 0:
                return random.of([null, true, false, "", 0, 1e300, -1.5]);
              case 1:
                return (random.below(2 ** 30) - 2 ** 29) / random.of([1, 3, 7, 1000]) || 0;
              case 2:
              case 3:
                return String.fromCharCode(...Array.from({ length: random.below(20) }, () => random.below(0x10000)));
              case 4:
                return Array.from({ length: random.below(6) }, () => value(depth + 1));
              default:
                return Object.fromEntries(
                  Array.from({ length: random.below(6) }, () => [
                    random.of(["a", "__proto__", "", "x y", String.fromCharCode(random.below(0x10000))]),
                    value(depth + 1),
                  ]),
                );
            }
          };
          for (let i = 0; i < 100; i++) {
            const data = value(0);
            assert.deepEqual((await told({ data })).data, data);
          }
        });
      },
    },
    {
      name: "bytes arrive as a Uint8Array, byte for byte, at every size up to 60,000",
      run() {
        return withRandomAsync(async (random) => {
          const all = Uint8Array.from({ length: 256 }, (_, i) => i);
          for (
            const bytes of [
              new Uint8Array(0),
              Uint8Array.of(0),
              Uint8Array.of(255),
              bytesOf('{"a":1}'),
              all,
              randomBytes(random, 4096),
              randomBytes(random, 60_000),
            ]
          ) {
            const { data } = await told({ data: bytes });
            assert.ok(data instanceof Uint8Array);
            assert.equal(Object.getPrototypeOf(data), Uint8Array.prototype);
            assert.ok(data.length === bytes.length && data.every((byte, i) => byte === bytes[i]), `${bytes.length}`);
          }
        });
      },
    },
    {
      name: "of a view only its own bytes are told, and the copy has a buffer of its own size",
      async run() {
        const whole = Uint8Array.from({ length: 100 }, (_, i) => i);
        const shared = new Uint8Array(new SharedArrayBuffer(8), 2, 3);
        shared.set([5, 6, 7]);
        for (
          const [bytes, expected] of [
            [whole.subarray(10, 13), [10, 11, 12]],
            [new Uint8Array(whole.buffer, 99), [99]],
            [whole.subarray(50, 50), []],
            [Buffer.from("abc"), [97, 98, 99]],
            [shared, [5, 6, 7]],
          ] as const
        ) {
          const data = (await told({ data: bytes })).data as Uint8Array;
          assert.deepEqual([...data], expected);
          assert.equal(data.buffer.byteLength, expected.length);
        }
      },
    },
    {
      name: "what is neither JSON nor bytes: TypeError that says what it is",
      async run() {
        class Own {
          a = 1;
        }
        for (
          const [data, what] of [
            [() => 1, "function"],
            [Own, "function"],
            [1n, "bigint"],
            [Symbol("x"), "symbol"],
            [NaN, "NaN"],
            [Infinity, "Infinity"],
            [-Infinity, "-Infinity"],
            [new Date(0), "an object of class Date"],
            [new Map(), "an object of class Map"],
            [new Set(), "an object of class Set"],
            [/x/, "an object of class RegExp"],
            [new Error("x"), "an object of class Error"],
            [new Own(), "an object of class Own"],
            [Object("a"), "an object of class String"],
            [Object(1), "an object of class Number"],
            [Object(1n), "an object of class BigInt"],
            [new URL("file:///x"), "an object of class URL"],
            [Promise.resolve(1), "an object of class Promise"],
            [new ArrayBuffer(1), "an object of class ArrayBuffer"],
            [new DataView(new ArrayBuffer(1)), "an object of class DataView"],
            [new Uint16Array(1), "an object of class Uint16Array"],
            [new Uint8ClampedArray(1), "an object of class Uint8ClampedArray"],
            [Object.create({ inherited: 1 }), "an object of class Object"],
          ] as const
        ) {
          assert.equal(await refusedData(data), `Data must be JSON or a Uint8Array: got ${what}`);
        }
      },
    },
    {
      name: "what is neither JSON nor bytes within a value: TypeError that names the place",
      async run() {
        const cases: [unknown, string, string][] = [
          [[undefined], "Data[0]", "undefined"],
          [{ a: undefined }, "Data.a", "undefined"],
          [[1, [2, () => 3]], "Data[1][1]", "function"],
          [{ a: [{ b: NaN }] }, "Data.a[0].b", "NaN"],
          [{ a: { "b c": 1n } }, 'Data.a["b c"]', "bigint"],
          [{ "": Symbol("x") }, 'Data[""]', "symbol"],
          [{ 'q"': -Infinity }, 'Data["q\\""]', "-Infinity"],
          [{ "\n": Infinity }, 'Data["\\n"]', "Infinity"],
          [{ "0": undefined }, 'Data["0"]', "undefined"],
          [{ $a_1: [new Date(0)] }, "Data.$a_1[0]", "an object of class Date"],
          [[{ m: new Map() }], "Data[0].m", "an object of class Map"],
          [[Uint8Array.of(1)], "Data[0]", "an object of class Uint8Array"],
          [JSON.parse('{"__proto__":{"x":[]}}'), "", ""],
        ];
        cases.at(-1)![0] = Object.defineProperty({}, "__proto__", { value: [undefined], enumerable: true });
        cases.at(-1)![1] = "Data.__proto__[0]";
        cases.at(-1)![2] = "undefined";
        for (const [data, path, what] of cases) {
          assert.equal(await refusedData(data), `${path} must be JSON or a Uint8Array: got ${what}`);
        }
      },
    },
    {
      name: "arrays with holes: TypeError that names the first hole",
      async run() {
        // deno-lint-ignore no-sparse-arrays
        assert.equal(await refusedData([1, , 3]), "Data[1] must be JSON or a Uint8Array: got undefined");
        assert.equal(await refusedData({ a: new Array(2) }), "Data.a[0] must be JSON or a Uint8Array: got undefined");
      },
    },
    {
      name: "values that contain themselves: TypeError that names where they do",
      async run() {
        const object: Record<string, unknown> = { a: {} };
        (object.a as Record<string, unknown>).b = object;
        const array: unknown[] = [0];
        array.push([array]);
        const cases = [[object, "Data.a.b"], [array, "Data[1][0]"], [{ x: array }, "Data.x[1][0]"]] as const;
        for (const [data, path] of cases) {
          assert.equal(await refusedData(data), `${path} must be JSON or a Uint8Array: it contains itself`);
        }
      },
    },
    {
      name: "toJSON() is never called: TypeError that names it",
      async run() {
        let calls = 0;
        const toJSON = (): number => ++calls;
        for (const [data, path] of [[{ toJSON }, "Data.toJSON"], [{ a: [{ toJSON }] }, "Data.a[0].toJSON"]] as const) {
          assert.equal(await refusedData(data), `${path} must be JSON or a Uint8Array: got function`);
        }
        assert.equal(calls, 0);
      },
    },
    {
      name: "toJSON() of an array is not called either",
      async run() {
        let calls = 0;
        const data = Object.assign([1, 2], { toJSON: () => ++calls });
        const name = freshKey();
        try {
          using _guard = await SingleInstance.acquire(name, { data });
          using running = await SingleInstance.connect(name);
          assert.deepEqual(running.info.data, [1, 2]);
        } catch (error) {
          if (!(error instanceof TypeError)) throw error;
          assert.match(error.message, /toJSON/);
        }
        assert.equal(calls, 0);
      },
    },
    {
      name: "data up to the limit is told whole; one byte more is MessageTooLargeError, and nothing is held",
      async run() {
        const name = freshKey();
        for (
          const [most, more] of [
            [new Uint8Array(MOST_DATA).fill(7), new Uint8Array(MOST_DATA + 1)],
            ["d".repeat(MOST_DATA - 2), "d".repeat(MOST_DATA - 1)],
            ["ä".repeat((MOST_DATA - 2) / 2), "ä".repeat((MOST_DATA - 2) / 2) + "a"],
            [["d".repeat(MOST_DATA - 4)], ["d".repeat(MOST_DATA - 3)]],
          ] as const
        ) {
          for (const args of [[], ["a"], ["a".repeat(100_000)]]) {
            assert.deepEqual((await told({ data: most, args })).data, most);
            const rejected = await rejectionOf(SingleInstance.acquire(name, { data: more, args }));
            const thrown = errorOf(() => SingleInstance.tryAcquire(name, { data: more, args }));
            for (const error of [rejected, thrown]) {
              assert.ok(error instanceof MessageTooLargeError && error instanceof QshmError, `${error}`);
              assert.deepEqual(
                [error.name, error.code, error.operation, error.key],
                ["MessageTooLargeError", "MessageTooLarge", "acquire", name],
              );
              assert.match(error.message, /^Cannot acquire instance "[^"]+": its data takes \d+ bytes, /);
            }
            assert.deepEqual(list(), []);
          }
        }
      },
    },
    {
      name: "MessageTooLargeError counts data's own bytes",
      async run() {
        const error = await rejectionOf(SingleInstance.acquire(freshKey(), { data: new Uint8Array(70_000) }));
        assert.match(`${error}`, new RegExp(`its data takes 70000 bytes, at most ${MOST_DATA} fit;`));
      },
    },
    {
      name: "data that is too large changes nothing for whoever holds the guard",
      async run() {
        const name = freshKey();
        using _guard = await SingleInstance.acquire(name, { data: "mine", args: ["a"] });
        for (const timeout of [0, 60_000]) {
          const error = await rejectionOf(SingleInstance.acquire(name, { data: new Uint8Array(1 << 20), timeout }));
          assert.ok(error instanceof MessageTooLargeError);
        }
        using running = await SingleInstance.connect(name);
        assert.deepEqual([running.info.data, running.info.args], ["mine", ["a"]]);
      },
    },
    {
      name: "args of every content arrive as they are",
      async run() {
        for (
          const args of [
            [""],
            ["", "", ""],
            ["a b", "a\nb", "a|b", 'a"b', "a'b", "\\", "$x", "\0", "\t\r", "--", "-", "…"],
            ["ä", "日本", "🦕", "\ufeff", "\u2028", "\ud800", "\udfff\ud800"],
            ["[]", "null", '["…"]', "undefined"],
            Array(20_000).fill(""),
            Array.from({ length: 1000 }, (_, i) => `--option-${i}=${"v".repeat(i % 40)}`),
          ]
        ) {
          const info = await told({ args });
          assert.ok(info.args.length === args.length, `${info.args.length} of ${args.length}`);
          assert.deepEqual(info.args, args);
        }
      },
    },
    {
      name: "args that do not fit are cut behind as many whole ones as do, and marked",
      async run() {
        for (
          const args of [
            Array.from({ length: 10_000 }, (_, i) => `argument-${i}`),
            Array(100_000).fill(""),
            ["a".repeat(100_000)],
            ["first", "second", "a".repeat(100_000), "last"],
            Array(10_000).fill("\n|\"\\"),
            Array(10_000).fill("日本語"),
            Array(2).fill("a".repeat(CAPACITY / 2)),
            ["a".repeat(CAPACITY - OVERHEAD - 3)],
          ]
        ) {
          for (const data of [undefined, "d".repeat(1000)]) {
            const info = await told(data === undefined ? { args } : { args, data });
            assert.equal(info.data, data);
            const kept = info.args.length - 1;
            assert.equal(info.args[kept], "…");
            assert.ok(kept < args.length);
            assert.deepEqual(info.args.slice(0, kept), args.slice(0, kept));
            const room = CAPACITY - OVERHEAD - (data === undefined ? 0 : JSON.stringify(data).length);
            const size = (count: number): number => bytesOf(JSON.stringify([...args.slice(0, count), "…"])).length;
            assert.ok(size(kept) <= room && size(kept + 1) > room, `${kept} of ${args.length}, ${size(kept)} bytes`);
          }
        }
      },
    },
    {
      name: "args that fit to the byte are told whole",
      async run() {
        for (const data of [undefined, "d".repeat(1000), new Uint8Array(60_000)]) {
          const taken = data === undefined ? 0 : typeof data === "string" ? data.length + 2 : data.length;
          const longest = "a".repeat(CAPACITY - OVERHEAD - taken - 4);
          const options = data === undefined ? {} : { data };
          assert.deepEqual((await told({ args: [longest], ...options })).args, [longest]);
          assert.deepEqual((await told({ args: [`${longest}a`], ...options })).args, ["…"]);
        }
      },
    },
    {
      name: "data comes first: args are cut to what it leaves, and marked as long as the mark fits",
      async run() {
        const mark = bytesOf(JSON.stringify(["…"])).length;
        for (const left of [10_000, 100, 20, mark + 1, mark]) {
          const data = new Uint8Array(CAPACITY - OVERHEAD - left).fill(3);
          const info = await told({ data, args: Array(100).fill("a".repeat(200)) });
          assert.deepEqual(info.data, data);
          assert.equal(info.args.at(-1), "…");
        }
      },
    },
    {
      name: "args that do not fit are marked also where data leaves least",
      async run() {
        for (const size of [MOST_DATA - 4, MOST_DATA]) {
          const { args } = await told({ data: new Uint8Array(size), args: ["an argument"] });
          assert.deepEqual(args, ["…"], `${size} bytes of data`);
        }
      },
    },
  ],
};
