/** The C library's own cases, sanitizers and models, as tests of this run. */

import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { ROOT } from "../support/runtimes.ts";
import { allowSkip } from "../support/skips.ts";

const execute = promisify(execFile);
const ENV = { ...process.env, QSHM_TEST_ABI: `${ROOT}c/build/abi` };
const RUNNER = `${ROOT}c/build/check/tests`;

const cases = execFileSync(RUNNER, ["--list"], { encoding: "utf8", env: ENV }).split("\n").filter((name) => name !== "");

/** Runs make; what it printed is shown when it fails. */
async function make(target: string): Promise<string> {
  const { stdout } = await execute("make", ["-s", "-C", `${ROOT}c`, target], { maxBuffer: 1 << 26 });
  return stdout;
}

describe("c", () => {
  it("has cases", () => expect(cases.length).toBeGreaterThan(50));

  for (const name of cases.filter((name) => !name.startsWith("torture_"))) {
    it(name, async ({ skip }) => {
      const { stdout } = await execute(RUNNER, [name], { env: ENV, maxBuffer: 1 << 26 });
      const skipped = /^skip \S+: (.*)$/m.exec(stdout);
      if (skipped) skip(allowSkip(skipped[1]!));
      expect(stdout).toMatch(new RegExp(`^ok ${name}`, "m"));
    });
  }

  it("all cases pass under the address and undefined-behaviour sanitizers", async () => {
    expect(await make("check-asan")).toMatch(/ 0 failed/);
  });

  it("the cases with threads pass under the thread sanitizer", async () => {
    expect(await make("check-tsan")).toMatch(/ 0 failed/);
  });

  it("the models hold, and the one with a defect is refuted", async ({ skip }) => {
    const output = await make("model");
    if (output.startsWith("skipped")) skip(allowSkip(output.trim()));
  });
});
