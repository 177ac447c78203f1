/** Payloads by themselves; what guards make of them stands in the conformance suites. */

import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { decodePayload, encodePayload } from "../../src/single_instance/payload.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const encode = (value: unknown): Uint8Array => encodePayload("Data", value);

describe("encodePayload()", () => {
  it("writes what follows into the first byte: nothing, JSON, bytes", () => {
    expect([...encode(undefined)]).toEqual([0]);
    expect([...encode(null)]).toEqual([1, ...text("null")]);
    expect([...encode({ a: [1, "ä"] })]).toEqual([1, ...text('{"a":[1,"ä"]}')]);
    expect([...encode(new Uint8Array(0))]).toEqual([2]);
    expect([...encode(Uint8Array.of(1, 2, 255))]).toEqual([2, 1, 2, 255]);
  });

  it("writes lone surrogates as escapes, so that they survive UTF-8", () => {
    expect([...encode("\ud800")]).toEqual([1, ...text('"\\ud800"')]);
  });

  it("takes a view's own bytes, and copies them", () => {
    const whole = Uint8Array.of(0, 1, 2, 3);
    const encoded = encode(whole.subarray(1, 3));
    whole.fill(9);
    expect([...encoded]).toEqual([2, 1, 2]);
  });

  it("accepts plain objects and arrays of another realm, as test runners and vm contexts have them", () => {
    expect([...encode(runInNewContext("({ a: [1, { b: null }] })"))]).toEqual([1, ...text('{"a":[1,{"b":null}]}')]);
  });

  it("accepts bytes of another realm", () => {
    expect([...encode(runInNewContext("new Uint8Array([7, 8])"))]).toEqual([2, 7, 8]);
  });

  it("uses the name that it is given in messages", () => {
    expect(() => encodePayload("Reply", [NaN])).toThrow("Reply[0] must be JSON or a Uint8Array: got NaN");
  });

  it("refuses bytes whose buffer was transferred: they are gone, not empty", () => {
    const bytes = new Uint8Array(4);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => encode(bytes)).toThrow(TypeError);
  });

  it("refuses members that JSON would leave out: those under symbols", () => {
    expect(() => encode({ a: 1, [Symbol("x")]: 2 })).toThrow(TypeError);
  });
});

describe("decodePayload()", () => {
  it("gives what was encoded", () => {
    for (const value of [undefined, null, 0, "", "\ud800", [], {}, { a: [{ b: [null, true] }] }, new Uint8Array(3)]) {
      expect(decodePayload(encode(value))).toEqual(value);
    }
  });

  it("gives bytes of their own", () => {
    const encoded = encode(Uint8Array.of(1, 2));
    const decoded = decodePayload(encoded) as Uint8Array;
    encoded.fill(9);
    expect([...decoded]).toEqual([1, 2]);
    expect(decoded.buffer.byteLength).toBe(2);
  });

  it("makes members of __proto__, no prototypes", () => {
    const decoded = decodePayload(Uint8Array.of(1, ...text('{"__proto__":{"a":1}}'))) as object;
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(["__proto__"]);
  });

  it("throws a SyntaxError for a first byte that means nothing, or none", () => {
    for (const bytes of [[], [3], [255], [123, 125]]) {
      expect(() => decodePayload(Uint8Array.from(bytes))).toThrow(SyntaxError);
    }
  });

  it("throws for JSON that is none, is cut, or has a byte order mark", () => {
    for (const json of ["", "{", '"a', "nul", "1 2", "\ufeff1", "undefined", "NaN"]) {
      expect(() => decodePayload(Uint8Array.of(1, ...text(json)))).toThrow(SyntaxError);
    }
  });

  it("throws for text that is no UTF-8", () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x80]]) {
      expect(() => decodePayload(Uint8Array.from([1, 0x22, ...bytes, 0x22]))).toThrow();
    }
  });
});
