/** A pending wait keeps the process alive, unless it is told not to. */

import { describe, expect, it } from "vitest";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";
import { program, run } from "./run.ts";

for (const runtime of RUNTIMES) {
  describe(`in ${runtime}`, () => {
    it("lock() keeps the process alive until it ends", () => {
      const { status, stdout } = run(commandOf(runtime, program("no_ref"), ["true"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\nlocked\n" });
    });

    it("lock() with ref: false lets the process end", () => {
      const { status, stdout } = run(commandOf(runtime, program("no_ref"), ["false"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
    });
  });
}
