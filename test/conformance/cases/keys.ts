/** Keys: which are refused, and that two different ones never meet, nor one and the same miss itself. */

import assert from "node:assert/strict";
import { inspect, list, remove, SharedMemory } from "../../../mod.ts";
import { freshKey, type Suite } from "../case.ts";
import { bytesOf, thrownBy } from "../helpers.ts";

/** Keys that are odd, but good. */
export const ODD: readonly string[] = [
  ".",
  "..",
  "...",
  "/",
  "../x",
  "a/b",
  "/etc/passwd",
  "~",
  "-",
  "%",
  "%41",
  "%2e%2e",
  " ",
  "\t\n\r",
  "\x01\x7f",
  "a b",
  "C:\\x",
  "COM1",
  "*?<>|\"'`$(){}[];&!#",
  "ä",
  "日本語",
  "🦕",
  "👩‍👩‍👧‍👦",
  "\u{10ffff}",
  "\ufffd",
  "\uffff",
  "\u202e",
  "constructor",
  "__proto__",
  "undefined",
  "memory",
  "m-a",
];

/** Long ones: around the end of what a file name takes, and far beyond. */
export const LONG: readonly string[] = [
  "a".repeat(179),
  "a".repeat(180),
  "a".repeat(181),
  "a".repeat(10_000),
  "ä".repeat(30),
  "ä".repeat(31),
  "/".repeat(60),
  "/".repeat(61),
  "🦕".repeat(2500),
];

/** Groups of keys that must not meet each other. */
export const NEAR: readonly (readonly string[])[] = [
  ["case", "Case", "CASE"],
  ["straße", "STRASSE", "strasse"],
  ["\u00e9", "e\u0301"],
  ["a", "a ", " a", "a\n"],
  ["a/b", "a%2Fb", "a%2fb", "a_b", "ab"],
  [".", "..", "%2E", "./.", "./"],
  ["x".repeat(200) + "1", "x".repeat(200) + "2", "x".repeat(200), "x".repeat(201)],
  ["x".repeat(9999) + "1", "x".repeat(9999) + "2"],
  ["\ufeffa", "a", "a\ufeff"],
  ["\ufffd", "?"],
  ["1", "01", "1.0"],
];

export const keys: Suite = {
  name: "keys",
  cases: [
    {
      name: "create() and attach() meet by every odd key, one file in the directory each",
      run() {
        const directory = SharedMemory.create(freshKey(), 1);
        const prefix = directory.path.slice(0, directory.path.lastIndexOf("/") + 1);
        directory.detach();
        for (const key of [...ODD, ...LONG]) {
          using memory = SharedMemory.create(key, 1);
          using other = SharedMemory.attach(key);
          memory.write(Uint8Array.of(7));
          assert.equal(other.read()[0], 7);
          assert.equal(memory.key, key);
          assert.ok(memory.path.startsWith(prefix), memory.path);
          const name = memory.path.slice(prefix.length);
          assert.match(name, /^m-[A-Za-z0-9._%~-]+$/);
          assert.ok(name.length <= 255);
        }
      },
    },
    {
      name: "list() and inspect() give every odd key as it was given",
      run() {
        for (const key of [...ODD, ...LONG].filter((key) => bytesOf(key).length < 2048)) {
          using _memory = SharedMemory.create(key, 1);
          assert.equal(inspect("memory", key)?.key, key);
          assert.deepEqual(list().map((info) => info.key), [key]);
        }
      },
    },
    {
      name: "list() and inspect() give a key that begins with a byte order mark whole",
      run() {
        const key = "\ufeffmark";
        using _memory = SharedMemory.create(key, 1);
        assert.equal(inspect("memory", key)?.key, key);
        assert.equal(list()[0]?.key, key);
      },
    },
    {
      name: "keys that differ never meet: in case, form, escapes, or only behind their 200th character",
      run() {
        for (const group of NEAR) {
          const segments = group.map((key) => SharedMemory.create(key, 1));
          segments.forEach((segment, i) => segment.write(Uint8Array.of(i + 1)));
          segments.forEach((segment, i) => assert.equal(segment.read()[0], i + 1, JSON.stringify(group[i])));
          assert.equal(new Set(segments.map(({ path }) => path)).size, group.length);
          for (const segment of segments) segment.detach();
        }
      },
    },
    {
      name: "a key that looks like another key's file name does not meet it",
      run() {
        using long = SharedMemory.create("y".repeat(300), 1);
        const name = long.path.slice(long.path.lastIndexOf("/") + 1);
        assert.equal(name.length, 2 + 100 + 1 + 64);
        for (const key of [name, name.slice(2)]) {
          using other = SharedMemory.create(key, 1);
          assert.notEqual(other.path, long.path);
        }
      },
    },
    {
      name: "an empty key, NUL and lone surrogates throw TypeError that says what is wrong",
      run() {
        const bad: [string, RegExp][] = [
          ["", /^Key must not be empty$/],
          ["\0", /^Key must not contain NUL$/],
          ["a\0b", /^Key must not contain NUL$/],
          ["a\0", /^Key must not contain NUL$/],
          ["\ud800", /^Key must be well-formed Unicode: it has a lone surrogate$/],
          ["a\udc00b", /lone surrogate/],
          ["🦕".slice(0, 1), /lone surrogate/],
          ["🦕".slice(1) + "🦕", /lone surrogate/],
        ];
        for (const [key, message] of bad) {
          for (
            const f of [
              () => SharedMemory.create(key, 1),
              () => SharedMemory.tryCreate(key, 1),
              () => SharedMemory.attach(key),
              () => SharedMemory.tryAttach(key),
              () => SharedMemory.open(key, 1),
              () => inspect("memory", key),
              () => remove("memory", key),
            ]
          ) {
            const error = thrownBy(f);
            assert.ok(error instanceof TypeError, `${JSON.stringify(key)}: ${error}`);
            assert.match(error.message, message);
          }
        }
        assert.deepEqual(list(), []);
      },
    },
    {
      name: "a key that is no string throws TypeError that says what it is",
      run() {
        const bad: [unknown, string][] = [
          [undefined, "undefined"],
          [null, "null"],
          [1, "number"],
          [1n, "bigint"],
          [true, "boolean"],
          [Symbol("a"), "symbol"],
          [["a"], "an array"],
          [{ toString: () => "a" }, "object"],
          [Object("a"), "object"],
          [() => "a", "function"],
        ];
        for (const [key, kind] of bad) {
          for (
            const f of [
              () => SharedMemory.create(key as string, 1),
              () => SharedMemory.attach(key as string),
              () => SharedMemory.open(key as string, 1),
              () => inspect("memory", key as string),
              () => remove("memory", key as string),
            ]
          ) {
            assert.throws(f, { name: "TypeError", message: `Key must be a string: got ${kind}` });
          }
        }
      },
    },
    {
      name: "a key of a mebibyte works, a longer one throws RangeError",
      run() {
        const longest = "k".repeat(1 << 20);
        using memory = SharedMemory.create(longest, 1);
        using other = SharedMemory.attach(longest);
        assert.equal(other.path, memory.path);
        assert.throws(() => SharedMemory.create(longest + "k", 1), RangeError);
        assert.throws(() => SharedMemory.create("ä".repeat((1 << 19) + 1), 1), RangeError);
        assert.throws(() => inspect("memory", longest + "k"), RangeError);
      },
    },
  ],
};
