/** How messages are written, by themselves; what guards make of them stands in the conformance suites. */

import { describe, expect, it } from "vitest";
import {
  decodeFailure,
  decodeReply,
  decodeRequest,
  encodeFailure,
  encodeReply,
  encodeRequest,
  type InstanceReply,
  type Request,
} from "../../src/single_instance/message.ts";
import { Random } from "../support/random.ts";

const REQUEST: Request = { kind: "message", args: [], cwd: "", env: {}, data: null };
const DECODERS = { decodeRequest, decodeReply, decodeFailure };

const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** A message with whatever head and payload. */
function message(head: unknown, payload: readonly number[] = [0], length?: number): Uint8Array {
  const json = text(typeof head === "string" ? head : JSON.stringify(head));
  const bytes = new Uint8Array(4 + json.length + payload.length);
  new DataView(bytes.buffer).setUint32(0, length ?? json.length, true);
  bytes.set(json, 4);
  bytes.set(payload, 4 + json.length);
  return bytes;
}

describe("encodeRequest()", () => {
  it("writes the head's length, the head as JSON, then the payload", () => {
    const json = text('{"kind":"arguments","args":["ä"],"cwd":"/","env":{"A":"b"}}');
    const bytes = encodeRequest({ kind: "arguments", args: ["ä"], cwd: "/", env: { A: "b" }, data: undefined });
    expect([...bytes]).toEqual([json.length, 0, 0, 0, ...json, 0]);
    const data = encodeRequest({ ...REQUEST, data: Uint8Array.of(7, 8) });
    expect([...data.subarray(-3)]).toEqual([2, 7, 8]);
  });

  it("refuses data that is no payload, and names the place", () => {
    expect(() => encodeRequest({ ...REQUEST, data: [NaN] })).toThrow(
      new TypeError("Data[0] must be JSON or a Uint8Array: got NaN"),
    );
  });
});

describe("decodeRequest()", () => {
  const requests: Request[] = [
    REQUEST,
    { ...REQUEST, data: Uint8Array.of(0, 1, 255) },
    { ...REQUEST, data: { a: ["\ud800", { b: null }] } },
    { kind: "arguments", args: ["", "a|\n", "\ud800", "ä🦕"], cwd: "/ä\0", env: { "": "", A: "\n" }, data: undefined },
    { kind: "arguments", args: Array.from({ length: 10_000 }, (_, i) => `${i}`), cwd: "", env: {}, data: undefined },
    { ...REQUEST, env: JSON.parse('{"__proto__":"x","constructor":"y"}') },
  ];

  it("gives what was encoded", () => {
    for (const request of requests) expect(decodeRequest(encodeRequest(request))).toEqual(request);
  });

  it("gives arguments and an environment that cannot be changed, and no members but its own", () => {
    const request = decodeRequest(message({ ...REQUEST, from: { pid: 1 }, signal: null }));
    expect(Object.keys(request).sort()).toEqual(["args", "cwd", "data", "env", "kind"]);
    expect([Object.isFrozen(request.args), Object.isFrozen(request.env)]).toEqual([true, true]);
  });

  it("reads a part of a larger buffer", () => {
    const encoded = encodeRequest({ ...REQUEST, data: Uint8Array.of(1, 2) });
    const whole = new Uint8Array(encoded.length + 10).fill(9);
    whole.set(encoded, 5);
    const { data } = decodeRequest(whole.subarray(5, 5 + encoded.length));
    whole.fill(9);
    expect(data).toEqual(Uint8Array.of(1, 2));
  });

  const heads = {
    "a kind that is none": { ...REQUEST, kind: "order" },
    "no kind": { ...REQUEST, kind: undefined },
    "arguments that are no array": { ...REQUEST, args: { length: 0 } },
    "an argument that is no text": { ...REQUEST, args: ["a", 1] },
    "no arguments": { ...REQUEST, args: undefined },
    "a directory that is no text": { ...REQUEST, cwd: null },
    "an environment that is null": { ...REQUEST, env: null },
    "a variable that is no text": { ...REQUEST, env: { A: 1 } },
    "an environment that is text": { ...REQUEST, env: "A" },
  };
  for (const [what, head] of Object.entries(heads)) {
    it(`throws for ${what}`, () => {
      expect(() => decodeRequest(message(head))).toThrow(SyntaxError);
    });
  }
});

describe("encodeReply()", () => {
  it("writes nothing for nothing", () => {
    for (const reply of [undefined, {}, { exitCode: undefined, data: undefined } as InstanceReply]) {
      expect([...encodeReply(reply)]).toEqual([2, 0, 0, 0, ...text("{}"), 0]);
    }
  });

  it("accepts exit codes from 0 to 255", () => {
    for (let exitCode = 0; exitCode <= 255; exitCode++) {
      expect(decodeReply(encodeReply({ exitCode }))).toEqual({ exitCode });
    }
    for (const exitCode of [-1, 256, 0.5, NaN, Infinity]) expect(() => encodeReply({ exitCode })).toThrow(RangeError);
  });

  it("refuses what is no reply, and says what is wrong", () => {
    const bad: [unknown, string][] = [
      [{ stdout: 1 }, "Stdout must be a string: got number"],
      [{ stderr: null }, "Stderr must be a string: got null"],
      [{ exitCode: "0" }, "ExitCode must be a number: got string"],
      [{ data: () => 1 }, "Data must be JSON or a Uint8Array: got function"],
      [{ stdOut: "" }, 'Unknown option "stdOut": known are "exitCode", "stdout", "stderr", "data"'],
      ["text", "Options must be an object: got string"],
      [1, "Options must be an object: got number"],
    ];
    for (const [reply, why] of bad) expect(() => encodeReply(reply as never)).toThrow(new TypeError(why));
  });
});

describe("decodeReply()", () => {
  it("gives what was encoded, and no member that was not there", () => {
    const replies: InstanceReply[] = [
      {},
      { exitCode: 0 },
      { stdout: "", stderr: "ä\0\ud800\ufeff" },
      { data: null },
      { data: new Uint8Array(0) },
      { exitCode: 255, stdout: "a", stderr: "b", data: { c: [Number.MAX_VALUE] } },
    ];
    for (const reply of replies) {
      const decoded = decodeReply(encodeReply(reply));
      expect(decoded).toEqual(reply);
      expect(Object.keys(decoded).sort()).toEqual(Object.keys(reply).sort());
    }
  });

  it("takes nothing from prototypes", () => {
    expect(decodeReply(message('{"__proto__":{"exitCode":1,"stdout":"x"}}'))).toEqual({});
  });

  it("throws for members that are not what they should be", () => {
    const codes = [256, "1", null].map((exitCode) => ({ exitCode }));
    const heads = [...codes, { stdout: 1 }, { stdout: null }, { stderr: [] }];
    for (const head of heads) expect(() => decodeReply(message(head)), JSON.stringify(head)).toThrow();
  });
});

describe("encodeFailure()", () => {
  it("tells name and message of errors, of whatever class", () => {
    class OwnError extends Error {
      override readonly name = "OwnError";
    }
    const cases: [unknown, string, string][] = [
      [new RangeError("far"), "RangeError", "far"],
      [new OwnError(""), "OwnError", ""],
      [new DOMException("late", "TimeoutError"), "TimeoutError", "late"],
      [Object.assign(new Error("x"), { name: 5 }), "5", "x"],
    ];
    for (const [error, name, message] of cases) {
      expect(decodeFailure(encodeFailure(error))).toEqual({ name, message });
    }
  });

  it("tells of what is no error as text", () => {
    const cases: [unknown, string][] = [
      ["a|\ud800", "a|\ud800"],
      [undefined, "undefined"],
      [null, "null"],
      [1n, "1"],
      [Symbol("x"), "Symbol(x)"],
      [{ toString: () => "mine" }, "mine"],
      [["a", "b"], "a,b"],
      [Object.create(null), "what was thrown cannot be turned into text"],
    ];
    for (const [value, message] of cases) {
      expect(decodeFailure(encodeFailure(value))).toEqual({ name: "Error", message });
    }
  });
});

describe("decodeFailure()", () => {
  it("throws for members that are not what they should be", () => {
    const heads = [{}, { name: "E" }, { message: "m" }, { name: 1, message: "m" }, { name: "E", message: null }];
    for (const head of heads) expect(() => decodeFailure(message(head)), JSON.stringify(head)).toThrow(SyntaxError);
  });
});

for (const [name, decode] of Object.entries(DECODERS)) {
  describe(`${name}() of hostile bytes`, () => {
    it("throws where there is no whole length", () => {
      for (const bytes of [[], [1], [2, 0, 0]]) expect(() => decode(Uint8Array.from(bytes))).toThrow(RangeError);
    });

    it("throws for a head that is no object, no JSON, or no UTF-8", () => {
      for (const head of ["null", "1", '"a"', "[]", "", "{", "{}}", "\ufeff{}", "undefined"]) {
        expect(() => decode(message(head)), head).toThrow(SyntaxError);
      }
      expect(() => decode(Uint8Array.of(4, 0, 0, 0, 0x22, 0xff, 0xff, 0x22, 0))).toThrow(TypeError);
    });

    it("throws for a length that cuts the head", () => {
      const head = { ...REQUEST, name: "E", message: "m" };
      for (const length of [0, 1, 10]) expect(() => decode(message(head, [0], length)), `${length}`).toThrow(SyntaxError);
    });
  });
}

for (const [name, decode] of Object.entries({ decodeRequest, decodeReply })) {
  describe(`${name}() of hostile payloads`, () => {
    it("throws for a payload that is missing, unknown or damaged", () => {
      for (const payload of [[], [3], [255, 1], [1], [1, 0x7b], [1, 0x22, 0xff, 0x22]]) {
        expect(() => decode(message(REQUEST, payload)), `${payload}`).toThrow();
      }
    });

    it("throws for a length beyond the end", () => {
      for (const length of [1000, 0x7fffffff, 0xffffffff]) {
        expect(() => decode(message(REQUEST, [0], length)), `${length}`).toThrow(SyntaxError);
      }
    });
  });
}

describe("random damage", () => {
  it("is an error, or a message that is as it should be", () => {
    const seed = Number(process.env.QSHM_SEED) || Math.floor(Math.random() * 0x7fffffff) + 1;
    console.error(`QSHM_SEED=${seed}`);
    const random = new Random(seed);
    const request = encodeRequest({ ...REQUEST, args: ["a", "ä"], env: { A: "b" }, data: { a: [1, "x"] } });
    const reply = encodeReply({ exitCode: 3, stdout: "out", stderr: "err", data: [1] });
    for (let i = 0; i < 20_000; i++) {
      const whole = i % 2 === 0 ? request : reply;
      const bytes = whole.slice(0, random.below(10) === 0 ? random.below(whole.length) : undefined);
      for (let damage = random.below(4); damage >= 0 && bytes.length > 0; damage--) {
        bytes[random.below(bytes.length)] = random.below(256);
      }
      for (const decode of Object.values(DECODERS)) {
        let decoded: object;
        try {
          decoded = decode(bytes);
        } catch (error) {
          expect(error, `QSHM_SEED=${seed}, round ${i}`).toBeInstanceOf(Error);
          continue;
        }
        if (decode === decodeRequest) expect(decodeRequest(encodeRequest(decoded as Request))).toEqual(decoded);
        if (decode === decodeReply) expect(decodeReply(encodeReply(decoded as InstanceReply))).toEqual(decoded);
      }
    }
  });
});
