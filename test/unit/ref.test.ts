/** A pending wait keeps the process alive, unless it is told not to; holding something does not. */

import { describe, expect, it } from "vitest";
import { SharedMemory } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { Program } from "../support/program.ts";
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

    for (const what of ["waitForChange", "changes", "values", "acquire"]) {
      it(`${what} keeps the process alive until it is woken`, () => {
        const { status, stdout } = run(commandOf(runtime, program("change_ref"), [what, "true"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\nwoken\n" });
      });

      it(`${what} with ref: false lets the process end`, () => {
        const { status, stdout } = run(commandOf(runtime, program("change_ref"), [what, "false"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
      });
    }

    for (const [what, end] of [["serve", "released"], ["send", "answered"], ["forward", "answered"]] as const) {
      it(`${what}() keeps the process alive until it ends`, () => {
        const { status, stdout } = run(commandOf(runtime, program("message_ref"), [what, "true"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: `waiting\n${end}\n` });
      });

      it(`${what}() with ref: false lets the process end`, () => {
        const { status, stdout } = run(commandOf(runtime, program("message_ref"), [what, "false"]));
        expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
      });
    }

    it("the look for somebody who wants to take over lets the process end", () => {
      const { status, stdout } = run(commandOf(runtime, program("message_ref"), ["replaced"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
    });

    it("the process ends when only waits with ref: false are left of those of one attachment", () => {
      const { status, stdout } = run(commandOf(runtime, program("change_ref"), ["mixed"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\naborted\n" });
    });

    it("a program that does nothing but `await waitForChange()` waits, until another process changes something", async () => {
      using directory = testDirectory();
      await using waiting = new Program(runtime, program("change_await"), { directory: directory.path });
      expect(await waiting.line()).toBe("waiting");
      using memory = SharedMemory.attach("memory", { directory: directory.path });
      for (let i = 0; i < 20; i++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        expect(waiting.child.exitCode).toBe(null);
      }
      memory.notify();
      expect(await waiting.line()).toBe("revision 1");
      expect(await waiting.exited()).toBe(0);
    });

    it("a guard that is held, and the look for its loss, let the process end", () => {
      const { status, stdout } = run(commandOf(runtime, program("guard_ref"), ["hold"]));
      expect({ status, stdout }).toEqual({ status: 0, stdout: "waiting\n" });
    });
  });
}
