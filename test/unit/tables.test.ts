/** The tables of the TypeScript side say what the library says of itself. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bind } from "../../ffi/load.ts";
import { ABI_VERSION, SYMBOLS } from "../../ffi/symbols.ts";
import { ERROR_TABLE } from "../../src/error_table.ts";
import * as errors from "../../src/errors.ts";
import { ROOT } from "../support/runtimes.ts";

const { qshm_describe } = bind(SYMBOLS.describe);

function description(): string[] {
  const text = new Uint8Array(qshm_describe(new Uint8Array(0), 0));
  expect(qshm_describe(text, text.length)).toBe(text.length);
  return new TextDecoder().decode(text).split("\n").filter((line) => line !== "");
}

const lines = description();
const symbols = new Map(
  lines.filter((line) => !line.startsWith("error ")).map((line) => {
    const [, name, result, parameters] = /^(\w+) (\w+) (.*)$/.exec(line)!;
    return [name!, { parameters: parameters === "void" ? [] : parameters!.split(", "), result }];
  }),
);
const table = Object.assign({}, ...Object.values(SYMBOLS)) as Record<string, object>;

describe("SYMBOLS", () => {
  it("names every symbol of the library and no other", () => {
    expect(Object.keys(table).sort()).toEqual([...symbols.keys()].sort());
  });

  it("has no symbol in two groups", () => {
    const names = Object.values(SYMBOLS).flatMap((group) => Object.keys(group));
    expect(new Set(names).size).toBe(names.length);
  });

  for (const [name, signature] of symbols) {
    it(`has the parameters and the result of ${name}()`, () => {
      expect(table[name]).toEqual(signature);
    });
  }

  it("has the version of the header and of the library", () => {
    expect(bind(SYMBOLS.base).qshm_abi_version()).toBe(ABI_VERSION);
    expect(readFileSync(`${ROOT}c/qshm.h`, "utf8")).toContain(`#define QSHM_ABI_VERSION ${ABI_VERSION}\n`);
  });
});

describe("qshm_describe()", () => {
  it("writes nothing into a buffer that is too small, and gives the length that it needs", () => {
    const small = new Uint8Array(10).fill(7);
    expect(qshm_describe(small, small.length)).toBeGreaterThan(1000);
    expect([...small]).toEqual(Array(10).fill(7));
  });
});

describe("ERROR_TABLE", () => {
  const rows = lines.filter((line) => line.startsWith("error ")).map((line) => /^error (-\d+) (\w+) (.*)$/.exec(line)!);

  it("has a row for every error of the library and no other", () => {
    expect(Object.keys(ERROR_TABLE).map(Number).sort((a, b) => a - b))
      .toEqual(rows.map(([, number]) => Number(number)).sort((a, b) => a - b));
  });

  for (const [, number, name, sentence] of rows) {
    it(`has the name and sentence of ${name}`, () => {
      expect(ERROR_TABLE[Number(number)]).toMatchObject({ name, sentence });
    });
  }

  it("has no code without a class, except those that speak for themselves", () => {
    const plain = ["NotAttached", "InvalidArgument", "KeyError"]; // TypeError: misuse
    for (const [number, { code }] of Object.entries(ERROR_TABLE)) {
      const error = errors.errorOf({ result: Number(number), operation: "o", key: "k", subject: "s" });
      if (plain.includes(code)) expect(error.constructor).toBe(TypeError);
      else if (code === "DirectoryNotFound" || code === "UnknownError") {
        expect(error.constructor).toBe(errors.QshmError);
      } else expect(error.constructor, code).not.toBe(errors.QshmError);
    }
  });
});
