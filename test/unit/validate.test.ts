/** The checks by themselves; what the API makes of them stands in the conformance suites. */

import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import {
  checkBoolean,
  checkBytes,
  checkInteger,
  checkMode,
  checkOptions,
  checkSize,
  checkTimeout,
  encodeDirectory,
  encodeKey,
} from "../../src/validate.ts";

describe("encodeKey()", () => {
  it("gives UTF-8", () => {
    expect([...encodeKey("aä🦕")]).toEqual([0x61, 0xc3, 0xa4, 0xf0, 0x9f, 0xa6, 0x95]);
  });

  it("counts the limit in bytes, not in characters", () => {
    expect(encodeKey("ä".repeat(1 << 19)).length).toBe(1 << 20);
    expect(() => encodeKey("ä".repeat((1 << 19) + 1))).toThrow(
      "Key must have at most 1048576 bytes in UTF-8: got 1048578",
    );
  });
});

describe("encodeDirectory()", () => {
  it("gives nothing when none is given", () => {
    expect(encodeDirectory(undefined).length).toBe(0);
  });

  it("gives UTF-8", () => {
    expect([...encodeDirectory("/ä")]).toEqual([0x2f, 0xc3, 0xa4]);
  });
});

describe("checkInteger()", () => {
  it("accepts both ends, and nothing beyond them", () => {
    expect([checkInteger("N", 3, 3, 5), checkInteger("N", 5, 3, 5)]).toEqual([3, 5]);
    for (const value of [2, 6, 3.5, NaN, Infinity]) expect(() => checkInteger("N", value, 3, 5)).toThrow(RangeError);
  });

  it("names the argument, its range and what it got", () => {
    expect(() => checkInteger("Count", 9, 3, 5)).toThrow("Count must be a whole number from 3 to 5: got 9");
    expect(() => checkInteger("Count", "9", 3, 5)).toThrow("Count must be a number: got string");
    expect(() => checkInteger("Count", null, 3, 5)).toThrow("Count must be a number: got null");
    expect(() => checkInteger("Count", [9], 3, 5)).toThrow("Count must be a number: got an array");
  });
});

describe("checkSize()", () => {
  it("accepts 1 to the largest whole number", () => {
    expect([checkSize(1), checkSize(Number.MAX_SAFE_INTEGER)]).toEqual([1, Number.MAX_SAFE_INTEGER]);
    expect(() => checkSize(Number.MAX_SAFE_INTEGER + 1)).toThrow(RangeError);
  });
});

describe("checkMode()", () => {
  it("gives 0 when none is given", () => {
    expect(checkMode(undefined)).toBe(0);
  });

  it("accepts exactly the modes with the owner's reading and writing, and none of others'", () => {
    for (let mode = 0; mode <= 0o777; mode++) {
      const good = (mode & 0o600) === 0o600 && (mode & 7) === 0;
      if (good) expect(checkMode(mode)).toBe(mode);
      else expect(() => checkMode(mode)).toThrow(RangeError);
    }
  });
});

describe("checkBoolean()", () => {
  it("gives the default only for undefined", () => {
    expect([checkBoolean("B", undefined, true), checkBoolean("B", false, true)]).toEqual([true, false]);
    expect(() => checkBoolean("B", null, true)).toThrow("B must be a boolean: got null");
  });
});

describe("checkTimeout()", () => {
  it("gives Infinity when none is given, and fractions as they are", () => {
    expect([checkTimeout(undefined), checkTimeout(0), checkTimeout(0.25)]).toEqual([Infinity, 0, 0.25]);
  });

  it("refuses negative numbers and NaN", () => {
    for (const value of [-1, -0.001, NaN, -Infinity]) expect(() => checkTimeout(value)).toThrow(RangeError);
  });
});

describe("checkBytes()", () => {
  it("gives the true number of bytes, whatever the object says", () => {
    const liar = Object.defineProperty(new Uint8Array(3), "length", { value: 100 });
    expect([checkBytes("B", new Uint8Array(5)), checkBytes("B", liar), checkBytes("B", Buffer.alloc(4))]).toEqual([
      5,
      3,
      4,
    ]);
  });

  it("accepts bytes of another realm, as test runners and vm contexts have them", () => {
    expect(checkBytes("B", runInNewContext("new Uint8Array(6)"))).toBe(6);
  });

  it("refuses what only claims to be bytes", () => {
    const claims = { [Symbol.toStringTag]: "Uint8Array", length: 5 };
    for (const value of [claims, Object.create(Uint8Array.prototype), new Proxy(new Uint8Array(1), {})]) {
      expect(() => checkBytes("B", value)).toThrow(TypeError);
    }
  });
});

describe("checkOptions()", () => {
  it("gives an empty bag for undefined", () => {
    expect(checkOptions(undefined, [])).toEqual({});
  });

  it("gives the object itself", () => {
    const options = { a: 1 };
    expect(checkOptions(options, ["a", "b"])).toBe(options);
  });

  it("names what it does not know, and what it knows", () => {
    expect(() => checkOptions({ c: 1 }, ["a", "b"])).toThrow('Unknown option "c": known are "a", "b"');
  });
});
