/** Bytes written and values read are those of real Qt, in every version, byte order and precision, in every runtime. */

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";

const PROGRAM = new URL("./compare.ts", import.meta.url).pathname;

interface Count {
  readonly compared: number;
  readonly of: number;
}

interface Report extends Readonly<Record<"read" | "written" | "moreRead" | "moreWritten" | "errors" | "descending", Count>> {
  /** How many were read with the type's own method, too. */
  readonly typed: number;
  readonly differences: readonly string[];
}

function compare(runtime: (typeof RUNTIMES)[number]): Report {
  const { command, args } = commandOf(runtime, PROGRAM);
  const env = { ...process.env, NO_COLOR: "1", TZ: "Europe/Berlin" }; // as when Qt made the vectors
  return JSON.parse(execFileSync(command, [...args], { encoding: "utf8", env, maxBuffer: 1 << 28 }));
}

describe.each(RUNTIMES)("vectors of Qt in %s", (runtime) => {
  let done: Report | undefined;
  const report = (): Report => done ??= compare(runtime);

  it("bytes, values, and statuses are Qt's", () => {
    const { differences, typed: _, ...counts } = report();
    for (const [name, { compared, of }] of Object.entries(counts)) {
      console.log(`${runtime}: vectors compared: ${compared} of ${of} (${name})`);
    }
    expect(differences.slice(0, 20)).toEqual([]);
  });

  it("all vectors of all files are compared", () => {
    const { differences: _, typed, ...counts } = report();
    for (const { compared, of } of Object.values(counts)) expect(compared).toBe(of);
    const { read, written, moreRead, moreWritten, errors, descending } = counts;
    expect([read.of, written.of, errors.of, descending.of]).toEqual([2260, 2260, 312, 24]);
    expect([moreRead.of, moreWritten.of]).toEqual([1008, 1008]);
    expect(typed).toBeGreaterThan(2000);
  });
});
