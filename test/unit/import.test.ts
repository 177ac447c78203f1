/** Importing does no work and says nothing; using says nothing either. */

import { describe, expect, it } from "vitest";
import { commandOf, RUNTIMES } from "../support/runtimes.ts";
import { program, run } from "./run.ts";

for (const runtime of RUNTIMES) {
  describe(`in ${runtime}`, () => {
    it("importing the module prints nothing, even where there is no library", () => {
      const { status, stdout, stderr } = run(commandOf(runtime, program("import_only")), {
        QSHM_LIBRARY: "/nonexistent",
      });
      expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
    });

    it("using the module prints no warning", () => {
      const { status, stderr } = run(commandOf(runtime, program("use"), ["some-key", "data"]));
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    });
  });
}
