/** `qshm run` and signals: each reaches COMMAND once, and COMMAND decides. */

import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { stateOf } from "../support/stopped.ts";
import { hasEnded, program, type Running, start, startProgram, startScript, until } from "./run/support.ts";
import { LAUNCHER } from "./support.ts";
import { openTerminal } from "./terminal.ts";

const { signals: NUMBERS } = constants;
const PASSED_ON = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGALRM", "SIGWINCH", "SIGCONT"] as const;

/** What `program signals` says first. */
async function up(running: Running): Promise<{ pid: number; parent: number }> {
  const words = (await running.line()).split(" ");
  expect(words[0]).toBe("up");
  running.remember(Number(words[1]), Number(words[2]));
  return { pid: Number(words[1]), parent: Number(words[2]) };
}

const isStopped = (pid: number): boolean => stateOf(pid) === "T";
const runs = (pid: number): boolean => ["R", "S"].includes(stateOf(pid));

describe("signals", () => {
  for (const runtime of RUNTIMES) {
    it.skipIf(SKIPS.cc)(because(`in ${runtime}: each reaches a COMMAND that traps it, once`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using running = start(runtime, ["run", "n", program(), "signals", ...PASSED_ON.map((name) => `${NUMBERS[name]}`)], { env });
      expect((await up(running)).parent).toBe(running.pid);
      for (let round = 0; round < 5; round++) {
        for (const name of PASSED_ON) {
          process.kill(running.pid, name);
          // A second one would be the next line.
          expect(await running.line()).toBe(`got ${String(NUMBERS[name]).padStart(2, "0")}`);
        }
      }
      expect(await running.end()).toEqual({ lines: [], status: 7 });
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: what COMMAND does not trap ends it, and the wrapper tells`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      for (const name of ["SIGHUP", "SIGTERM", "SIGUSR1"] as const) {
        await using running = start(runtime, ["run", "n", program(), "signals"], { env });
        await up(running);
        process.kill(running.pid, name);
        expect((await running.ended()).status).toBe(128 + NUMBERS[name]);
      }
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: SIGTSTP stops both, SIGCONT continues both`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using running = startProgram(runtime, program(), ["job", LAUNCHER, "run", "n", program(), "signals"], { env });
      const { pid, parent } = await up(running);
      for (let round = 0; round < 3; round++) {
        process.kill(parent, "SIGTSTP");
        await until(() => isStopped(pid) && isStopped(parent));
        process.kill(parent, "SIGCONT");
        await until(() => runs(pid) && runs(parent));
      }
      expect((await running.end()).status).toBe(7);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: SIGTSTP stops the wrapper also when COMMAND has stopped before`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using running = startProgram(runtime, program(), ["job", LAUNCHER, "run", "n", program(), "signals"], { env });
      const { pid, parent } = await up(running);
      // The order in which the kernel does it when Ctrl-Z is typed: the youngest process first.
      process.kill(pid, "SIGTSTP");
      await until(() => isStopped(pid));
      process.kill(parent, "SIGTSTP");
      await until(() => isStopped(parent));
      process.kill(parent, "SIGCONT");
      await until(() => runs(pid) && runs(parent));
      expect((await running.end()).status).toBe(7);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: SIGSTOP to COMMAND alone does not stop the wrapper`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using running = start(runtime, ["run", "n", program(), "signals", `${NUMBERS.SIGUSR1}`], { env });
      const { pid } = await up(running);
      process.kill(pid, "SIGSTOP");
      await until(() => isStopped(pid));
      process.kill(running.pid, "SIGUSR1"); // it waits for COMMAND
      expect(runs(running.pid)).toBe(true);
      process.kill(pid, "SIGCONT");
      expect(await running.line()).toBe("got 10");
      expect(runs(running.pid)).toBe(true);
      expect((await running.end()).status).toBe(7);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: what is ignored at the start stays ignored, as nohup wants it`, SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path, PROGRAM: program() };
      await using running = startScript(runtime, 'nohup "$QSHM" run n "$PROGRAM" signals 10 2>&1 | cat', { env });
      const { pid, parent } = await up(running);
      for (const process_ of [parent, pid]) process.kill(process_, "SIGHUP");
      process.kill(parent, "SIGUSR1"); // behind it, if it had gone further
      expect(await running.line()).toBe("got 10");
      expect((await running.end()).lines).toEqual([]);
    });

    it(`in ${runtime}: SIGPIPE ends COMMAND, within it and behind it`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using running = startScript(runtime, '"$QSHM" run n sh -c "yes | head -n 1"; { "$QSHM" run n yes; echo $? >&2; } | head -n 1', { env });
      expect((await running.end()).lines).toEqual(["y", "y"]);
      expect(running.stderr).toBe("141\n");
      expect(directory.entries()).toEqual([]);
    });
  }
});

describe("a terminal", () => {
  for (const runtime of RUNTIMES) {
    it.skipIf(SKIPS.cc)(because(`in ${runtime}: COMMAND is in the foreground of it, and what is typed reaches it once`, SKIPS.cc), async () => {
      using directory = testDirectory();
      await using terminal = await openTerminal(runtime, directory.path);
      terminal.type('"$QSHM" run n "$PROGRAM" signals 2 3; echo "code $?"\n');
      const [, pid, parent, ttys, foreground] = await terminal.shows(/up (\d+) (\d+) (\d+) (\d)\r?\n/);
      expect({ ttys, foreground }).toEqual({ ttys: "111", foreground: "1" });
      terminal.running.remember(Number(pid), Number(parent));
      terminal.type("\x03");
      await terminal.shows(/got 02/);
      terminal.type("\x1c");
      await terminal.shows(/got 03/);
      terminal.type("end\n");
      await terminal.shows(/code 7/);
      expect(terminal.all.match(/got 02/g)).toHaveLength(1);
      expect(terminal.all.match(/got 03/g)).toHaveLength(1);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: Ctrl-Z gives the shell back, fg continues, bg as well`, SKIPS.cc), async () => {
      using directory = testDirectory();
      await using terminal = await openTerminal(runtime, directory.path);
      terminal.type('"$QSHM" run n "$PROGRAM" signals 2; echo "code $?"\n');
      const [, ...pids] = await terminal.shows(/up (\d+) (\d+) /);
      const [pid, parent] = pids.map(Number) as [number, number];
      terminal.running.remember(pid, parent);
      terminal.type("\x1a");
      await terminal.shows(/\[ready\]/);
      expect(isStopped(pid) && isStopped(parent)).toBe(true);
      terminal.type("bg\n");
      await terminal.shows(/\[ready\]/);
      // It reads from the terminal, and is stopped for it.
      await until(() => isStopped(pid) && isStopped(parent));
      terminal.type("fg\n");
      await until(() => runs(pid) && runs(parent));
      terminal.type("\x03");
      await terminal.shows(/got 02/);
      terminal.type("end\n");
      await until(() => hasEnded(pid));
      terminal.type("\n");
      await terminal.shows(/\[ready\]/);
    });

    it.skipIf(SKIPS.cc)(because(`in ${runtime}: COMMAND's settings of it stay`, SKIPS.cc), async () => {
      using directory = testDirectory();
      await using terminal = await openTerminal(runtime, directory.path);
      terminal.type('"$QSHM" run n stty intr ^X; stty -a; echo "do""ne"\n');
      const [, key] = await terminal.shows(/intr = (\S+);[^]*done/);
      expect(key).toBe("^X");
    });
  }
});
