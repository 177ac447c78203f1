/** How arguments and data share the room that there is. What others are told stands in the conformance suites. */

import { describe, expect, it } from "vitest";
import { runtime } from "../../ffi/load.ts";
import { MessageTooLargeError } from "../../mod.ts";
import { checkArgs, encodeInfo } from "../../src/single_instance/info.ts";

/** What the library takes (`body` in c/src/layout.h). */
const CAPACITY = 61376;

/** Takes apart what encodeInfo() made. */
function read(body: Uint8Array): { args: string[]; data: Uint8Array } {
  const dataAt = 4 + new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(body.subarray(4, dataAt));
  return { args: JSON.parse(text), data: body.subarray(dataAt) };
}

describe("checkArgs()", () => {
  it("gives the program's own by default", () => {
    expect(checkArgs(undefined)).toEqual(runtime().args());
    expect(checkArgs([])).toEqual([]);
  });

  it("says which argument is wrong", () => {
    expect(() => checkArgs(["a", 5])).toThrow("Args[1] must be a string: got number");
    expect(() => checkArgs("a b")).toThrow("Args must be an array: got string");
    expect(() => checkArgs(null)).toThrow("Args must be an array: got null");
  });

  it("sees holes", () => {
    expect(() => checkArgs(new Array(2))).toThrow("Args[0] must be a string: got undefined");
  });
});

describe("encodeInfo()", () => {
  it("writes the arguments' length, the arguments as JSON, then the data", () => {
    const body = encodeInfo("n", ["a", "ä"], { b: 1 });
    expect(body.subarray(0, 4)).toEqual(Uint8Array.of(10, 0, 0, 0));
    expect(new TextDecoder().decode(body.subarray(4, 14))).toBe('["a","ä"]');
    expect([...body.subarray(14)]).toEqual([1, ...new TextEncoder().encode('{"b":1}')]);
  });

  it("never makes more than the library takes, whatever the arguments and the data", () => {
    for (let left = 0; left < 40; left++) {
      for (const args of [[], ["a"], ["", ""], ["a".repeat(5), "b".repeat(30)], ["ä".repeat(40)], Array(9).fill("\n")]) {
        const data = new Uint8Array(CAPACITY - 4 - 1 - 7 - left);
        const body = encodeInfo("n", args, data);
        expect(body.length).toBeLessThanOrEqual(CAPACITY);
        const parts = read(body);
        expect(parts.data.length).toBe(data.length + 1);
        const kept = parts.args.at(-1) === "…" ? parts.args.slice(0, -1) : parts.args;
        expect(args.slice(0, kept.length)).toEqual(kept);
      }
    }
  });

  it("keeps as many arguments as fit behind the data, and marks the cut", () => {
    const data = new Uint8Array(CAPACITY - 4 - 1 - 20);
    expect(read(encodeInfo("n", ["12345", "678"], data)).args).toEqual(["12345", "678"]);
    expect(read(encodeInfo("n", ["12345", "67890abcdef"], data)).args).toEqual(["12345", "…"]);
    expect(read(encodeInfo("n", ["1234567890abc"], data)).args).toEqual(["1234567890abc"]);
    expect(read(encodeInfo("n", ["1234567890abcdef"], data)).args).toEqual(["1234567890abcdef"]);
    expect(read(encodeInfo("n", ["1234567890abcdefg"], data)).args).toEqual(["…"]);
  });

  it("refuses data that leaves no room, and names the guard", () => {
    expect(() => encodeInfo('a"b', [], new Uint8Array(CAPACITY))).toThrow(MessageTooLargeError);
    expect(() => encodeInfo('a"b', [], new Uint8Array(CAPACITY))).toThrow('Cannot acquire instance "a\\"b": its data');
  });
});
