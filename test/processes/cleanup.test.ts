/** `setCleanupFunction()`: called once, however the program ends, unless that is by a signal that nobody can hear. */

import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Program } from "../support/program.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { WAYS } from "./exit/ways.ts";

const PROGRAM = new URL("./cleanup/program.ts", import.meta.url).pathname;
const CLEANED_UP = "cleaned up, attached: true, removed: true";

async function run(runtime: (typeof RUNTIMES)[number], args: readonly string[], signal?: NodeJS.Signals) {
  using directory = testDirectory();
  await using program = new Program(runtime, PROGRAM, { directory: directory.path, args, env: { TMPDIR: directory.path } });
  expect(await program.line()).toBe("ready");
  if (signal !== undefined) process.kill(program.pid, signal);
  else program.say();
  const ended = await program.exited();
  const lines: string[] = [];
  try {
    for (;;) lines.push(await program.line());
  } catch {
    // no more
  }
  return { ended, lines, left: readdirSync(directory.path), stderr: program.stderr };
}

describe.concurrent("the clean-up function", () => {
  for (const runtime of RUNTIMES) {
    for (const [way, traits] of Object.entries(WAYS)) {
      if (way === "SIGKILL" || ("only" in traits && traits.only !== runtime)) continue;
      const signal = "signal" in traits ? traits.signal : undefined;
      it(`is called once at ${way} in ${runtime}, before anything is detached; then that takes its course`, async () => {
        const { ended, lines, left, stderr } = await run(runtime, [way], signal);
        expect(lines, stderr).toEqual([CLEANED_UP]);
        expect(ended).toBe(signal ?? ("code" in traits ? traits.code : undefined));
        expect(left).toEqual([]);
      });
    }

    it(`that throws in ${runtime} is told on stderr, and the rest is done all the same`, async () => {
      const { ended, lines, left, stderr } = await run(runtime, ["normal end", "throws"]);
      expect(lines).toEqual([CLEANED_UP]);
      expect(stderr).toContain("from the clean-up");
      expect({ ended, left }).toEqual({ ended: 0, left: [] });
    });

    it(`is called at the end of a program in ${runtime} that hears the signal itself`, async () => {
      const { ended, lines, left } = await run(runtime, ["SIGTERM", "listens"], "SIGTERM");
      // In Deno nobody can see whether others listen: the function is called first, and the signal heard twice.
      expect(lines.filter((line) => line === CLEANED_UP).length).toBe(1);
      expect(lines).toContain("heard");
      expect({ ended, left }).toEqual({ ended: 3, left: [] });
    });
  }
});
