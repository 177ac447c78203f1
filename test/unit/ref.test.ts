/** A pending wait keeps the process alive, unless it is told not to; holding something does not. */

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

    for (const [what, end] of [["acquire", "held"], ["connect", "connected"]] as const) {
      it(`${what}() keeps the process alive until it ends`, () => {
        const { status, stdout } = run(commandOf(runtime, program("guard_ref"), [what, "true"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: `waiting\n${end}\n` });
      });

      it(`${what}() with ref: false lets the process end`, () => {
        const { status, stdout } = run(commandOf(runtime, program("guard_ref"), [what, "false"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
      });
    }

    it("a guard that is held, and the look for its loss, let the process end", () => {
      const { status, stdout } = run(commandOf(runtime, program("guard_ref"), ["hold"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
    });
  });
}
