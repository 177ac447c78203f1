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
async function make(target: string, ...variables: readonly string[]): Promise<string> {
  const args = ["-s", "-j2", "-C", `${ROOT}c`, target, ...variables];
  const failed = (error: { stdout: string }): never => {
    throw new Error(`make ${target}:\n${error.stdout.split("\n").filter((line) => !line.startsWith("ok ")).join("\n")}`);
  };
  return (await execute("make", args, { maxBuffer: 1 << 26 }).catch(failed)).stdout;
}

/** What became of each case; all are run at once, several at a time. */
async function runAll(): Promise<ReadonlyMap<string, string>> {
  const { stdout } = await execute(RUNNER, [], { env: ENV, maxBuffer: 1 << 26 }).catch((error) => error as { stdout: string });
  const results = stdout.matchAll(/^(ok|skip|not ok) ([\w-]+)(?::.*)?$(?:\n {4}.*$)*/gm);
  return new Map([...results].map(([text, , name]) => [name!, text]));
}

describe("c", () => {
  it("has cases", () => expect(cases.length).toBeGreaterThan(50));

  let results: ReturnType<typeof runAll> | undefined;
  for (const name of cases.filter((name) => !name.startsWith("torture_"))) {
    it(name, async ({ skip }) => {
      const text = (await (results ??= runAll())).get(name);
      const skipped = /^skip \S+: (.*)$/m.exec(text ?? "");
      if (skipped) skip(allowSkip(skipped[1]!));
      expect(text).toMatch(new RegExp(`^ok ${name}`));
    }, 600_000);
  }

  // A process that is killed or stopped on purpose has nothing more to tell; `make check-asan` runs those as well.
  it("all cases but kills and stops pass under the address and undefined-behaviour sanitizers", async () => {
    const chosen = cases.filter((name) => !/^(faults|qt)_(kill|stop)_|^torture_/.test(name));
    expect(chosen.length).toBeGreaterThan(400);
    expect(await make("check-asan", `CASES=${chosen.join(" ")}`)).toMatch(/ 0 failed/);
  }, 600_000);

  it("the cases with threads pass under the thread sanitizer", async () => {
    expect(await make("check-tsan")).toMatch(/ 0 failed/);
  });

  it("the models hold, and the one with a defect is refuted", async ({ skip }) => {
    const output = await make("model");
    if (output.startsWith("skipped")) skip(allowSkip(output.trim()));
  }, 600_000);
});
