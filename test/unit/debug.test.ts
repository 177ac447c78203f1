/** QSHM_DEBUG=1 tells what the library decides. */

import { describe, expect, it } from "vitest";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";
import { program, run } from "./run.ts";

for (const runtime of RUNTIMES) {
  describe(`in ${runtime}`, () => {
    const command = commandOf(runtime, program("decisions"));

    it("QSHM_DEBUG=1 traces each decision on a line of its own that begins with the process", () => {
      const { status, stdout, stderr } = run(command, { QSHM_DEBUG: "1" });
      expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
      const lines = stderr.trimEnd().split("\n");
      for (const line of lines) expect(line).toMatch(/^qshm\[\d+\] \S/);
      for (
        const expected of [
          /created \S+\/m-trace, 1 bytes, as id \d+/,
          /reclaimed \S+\/m-dead: nobody who used it is alive/,
          /created \S+\/m-dead/,
          /took the lock of m-trace away from id \d+/,
          /removed m-trace: its last user detached/,
        ]
      ) {
        expect(stderr).toMatch(expected);
      }
    });

    it("nothing is traced without it, or with another value", () => {
      for (const QSHM_DEBUG of [undefined, "", "0", "yes"]) expect(run(command, { QSHM_DEBUG }).stderr).toBe("");
    });
  });
}
