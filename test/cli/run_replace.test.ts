/** `qshm run` and a name that is held: --replace asks its holder to leave, --forward hands it the work. */

import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { stopped } from "../support/stopped.ts";
import { hand, hasEnded, program, script, start, until } from "./run/support.ts";
import { qshm } from "./support.ts";

/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;

/** A command that tells it runs, and ends with its input. */
const HOLD = ["sh", "-c", "echo up $$; exec cat"];

for (const [i, runtime] of RUNTIMES.entries()) {
  const other = RUNTIMES[(i + 1) % RUNTIMES.length]!;

  describe(`--replace in ${runtime}`, () => {
    it(`a wrapper in ${other} that is asked to leave ends its COMMAND with SIGTERM, and tells how that ended`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      for (
        const [command, status] of [
          ["echo up; exec cat", 143],
          ['exec 3<&0; cat <&3 & trap "kill $!; exit 9" TERM; echo up; wait', 9],
        ] as const
      ) {
        await using holder = start(other, ["run", "n", "sh", "-c", command], { env });
        expect(await holder.line()).toBe("up");
        await using next = start(runtime, ["run", "--replace", "n", ...HOLD], { env });
        expect((await holder.ended()).status).toBe(status);
        expect(holder.stderr).toBe("");
        expect(await next.line()).toMatch(/^up /);
        const { pid } = JSON.parse((await qshm(ANY, ["status", "--json", "n"], { env })).stdout);
        expect(pid).toBe(next.pid);
        expect((await next.end()).status).toBe(0);
        expect(directory.entries()).toEqual([]);
      }
    });

    it(`a program in ${other} learns it by \`replaced\`, and has its grace`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await Peer.start(other, { directory: directory.path });
      await peer.run(async ({ SingleInstance }, state) => {
        state.guard = await SingleInstance.acquire("n");
        state.replaced = new Promise<void>((resolve) => state.guard.replaced.addEventListener("abort", () => resolve()));
      });
      await using next = start(runtime, ["run", "--replace", "--grace=1000", "n", "echo", "ran"], { env });
      await peer.run((_api, { replaced }) => replaced);
      expect(next.child.exitCode).toBe(null);
      await peer.run((_api, { guard }) => guard.release());
      expect(await next.ended()).toEqual({ lines: ["ran"], status: 0 });
      expect(next.stderr).toBe("");
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.cc)(because("one that does not leave is told of with 75, and is not killed; --wait goes on waiting for it", SKIPS.cc), async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", program(), "signals", "15"], { env });
      const [, pid] = (await holder.line()).split(" ").map(Number);
      holder.remember(pid!, holder.pid);
      const late = await qshm(runtime, ["run", "--replace", "--grace=0.1", "--busy-exit=5", "n", "echo", "ran"], { env });
      expect({ code: late.code, stdout: late.stdout }).toEqual({ code: 5, stdout: "" });
      expect(late.stderr).toMatch(new RegExp(`^qshm: "n" is held by process ${holder.pid} since .*\n$`));
      expect(await holder.line()).toBe("got 15");
      expect((await qshm(runtime, ["run", "--replace", "--grace=0", "--timeout=0.1", "n", "echo", "ran"], { env })).code).toBe(75);
      await using patient = start(runtime, ["run", "--replace", "--grace=0.01", "--wait", "n", "echo", "ran"], { env });
      expect((await holder.end())).toEqual({ lines: [], status: 7 }); // asked again, it got no second one
      expect(await patient.ended()).toEqual({ lines: ["ran"], status: 0 });
      expect(directory.entries()).toEqual([]);
    });

    it.skipIf(SKIPS.cc)(because("--kill ends a wrapper that hangs, with its COMMAND if that ends with it", SKIPS.cc), async () => {
      using directory = testDirectory();
      using place = testDirectory();
      using held = hand(place.path);
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", "sh", "-c", 'echo $$; exec cat <"$0"', held.path], { env });
      const pid = Number(await holder.line());
      holder.remember(pid);
      process.kill(holder.pid, "SIGSTOP");
      await stopped(holder.pid);
      await using next = start(runtime, ["run", "--replace", "--grace=0.1", "--kill", "n", "echo", "ran"], { env });
      await until(() => holder.child.signalCode === "SIGKILL");
      expect(hasEnded(pid)).toBe(false); // it is no wrapper's any more, and holds the name
      held.letGo();
      expect(await next.ended()).toEqual({ lines: ["ran"], status: 0 });
      expect(next.stderr).toBe("");
      expect(directory.entries()).toEqual([]);
    });

    it("--kill does not touch a COMMAND whose wrapper was killed: 75, and who that is", async () => {
      using directory = testDirectory();
      using place = testDirectory();
      using held = hand(place.path);
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", "sh", "-c", 'echo $$; exec cat <"$0"', held.path], { env });
      const pid = Number(await holder.line());
      process.kill(holder.pid, "SIGKILL");
      await until(() => holder.child.signalCode === "SIGKILL");
      const refused = await qshm(runtime, ["run", "--replace", "--grace=0.1", "--kill", "n", "echo", "ran"], { env });
      expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 75, stdout: "" });
      expect(refused.stderr).toMatch(new RegExp(`^qshm: Cannot end the holder of instance "n": it is held by a process that process ${holder.pid} has left behind`));
      expect(hasEnded(pid)).toBe(false);
      held.letGo();
      await until(() => hasEnded(pid));
      expect(await qshm(runtime, ["run", "--replace", "n", "echo", "ran"], { env })).toMatchObject({ code: 0, stdout: "ran\n" });
      expect(directory.entries()).toEqual([]);
    });
  });

  describe(`--forward in ${runtime}`, () => {
    it(`to a program in ${other} that serves: COMMAND's arguments, and the reply's output and exit code`, async () => {
      using directory = testDirectory();
      using place = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await Peer.start(other, { directory: directory.path });
      await peer.run(async ({ SingleInstance }, state) => {
        state.guard = await SingleInstance.acquire("n");
        state.guard.serve(({ kind, args, cwd }: { kind: string; args: readonly string[]; cwd: string }) => {
          if (args[0] === "throw") throw new TypeError("cannot");
          if (args[0] === "hang") return new Promise<void>(() => {});
          return { stdout: JSON.stringify([kind, args, cwd]), stderr: "err", exitCode: args.length, data: "not printed" };
        });
      });
      const forward = (...args: string[]) => qshm(runtime, ["run", "--forward", ...args], { env, cwd: place.path });
      const args = ["edit", "", "two words", "--json", "é\n", "--"];
      expect(await forward("n", "--", ...args)).toEqual({
        code: args.length,
        signal: null,
        stdout: JSON.stringify(["arguments", args, place.path]),
        stderr: "err",
        stdoutBytes: expect.anything(),
      });
      expect(await forward("n", "throw")).toMatchObject({
        code: 1,
        stdout: "",
        stderr: 'qshm: Cannot send to instance "n": its handler failed: TypeError: cannot\n',
      });
      const late = await forward("--timeout=0.2", "n", "hang");
      expect(late).toMatchObject({ code: 75, stdout: "" });
      expect(late.stderr).toMatch(/^qshm: Timed out after .*\n$/);
      await using waiting = start(runtime, ["run", "--forward", "n", "hang"], { env });
      const pending = async () => JSON.parse((await qshm(ANY, ["status", "--json", "n"], { env })).stdout).pending as number;
      while (await pending() === 0) { /* it has sent */ }
      await peer.kill();
      expect((await waiting.ended()).status).toBe(69);
      expect(waiting.stderr).toContain("whether it was handled cannot be known");
    });

    it("runs COMMAND where nobody holds the name, and where the holder leaves", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      const forward = () => qshm(runtime, ["run", "--forward", "n", "sh", "-c", "echo ran; exit 3"], { env });
      expect(await forward()).toMatchObject({ code: 3, stdout: "ran\n", stderr: "" });
      await using peer = await Peer.start(other, { directory: directory.path });
      await peer.run(async ({ SingleInstance }, state) => {
        state.guard = await SingleInstance.acquire("n");
      });
      await using sender = start(runtime, ["run", "--forward", "n", "echo", "ran"], { env });
      const pending = async () => JSON.parse((await qshm(ANY, ["status", "--json", "n"], { env })).stdout).pending as number;
      while (await pending() === 0) { /* it has sent */ }
      await peer.run((_api, { guard }) => guard.release());
      expect(await sender.ended()).toEqual({ lines: ["ran"], status: 0 });
      expect(sender.stderr).toBe("");
      expect(directory.entries()).toEqual([]);
    });

    it(`a wrapper in ${other} takes nothing: the same line and status as without it`, async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", ...HOLD], { env });
      expect(await holder.line()).toMatch(/^up /);
      const line = new RegExp(`^qshm: "n" is held by process ${holder.pid} since .*: sh -c .*\n$`);
      for (const [options, status] of [[[], 75], [["--busy-exit=4"], 4]] as const) {
        const refused = await qshm(runtime, ["run", "--forward", ...options, "n", "echo", "ran"], { env });
        expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: status, stdout: "" });
        expect(refused.stderr).toMatch(line);
      }
      const json = await qshm(runtime, ["run", "--forward", "--json", "n", "echo", "ran"], { env });
      expect(JSON.parse(json.stderr)).toMatchObject({ name: "n", held: true, pid: holder.pid });
      expect((await holder.end()).status).toBe(0);
      expect(directory.entries()).toEqual([]);
    });

    it("what is not UTF-8 is not forwarded", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      const { lines, stderr } = await script(runtime, `"$QSHM" run --forward n echo "$(printf 'a\\377')"; echo $?`, { env });
      expect(lines).toEqual(["64"]);
      expect(stderr).toBe("qshm: what is forwarded must be UTF-8\nqshm: see qshm --help\n");
      expect(directory.entries()).toEqual([]);
    });
  });
}

it("options that contradict each other, or mean nothing alone, end with 64", async () => {
  using directory = testDirectory();
  const env = { QSHM_DIRECTORY: directory.path };
  for (
    const [options, message] of [
      [["--grace=1"], "--grace needs --replace"],
      [["--kill"], "--kill needs --replace"],
      [["--wait", "--kill"], "--kill needs --replace"],
      [["--forward", "--kill"], "--kill needs --replace"],
      [["--forward", "--wait"], "--forward does not go with --wait"],
      [["--forward", "--replace"], "--forward does not go with --replace"],
      [["--replace", "--grace=soon"], "--grace must be a number of seconds"],
      [["--replace", "--grace=-1"], "--grace must be a number of seconds"],
      [["--replace", "--grace="], "--grace must be a number of seconds"],
      [["--forward", "--timeout=soon"], "--timeout must be a number of seconds"],
      [["--replace=yes"], "--replace"],
      [["--kill=9", "--replace"], "--kill"],
      [["--forward=yes"], "--forward"],
    ] as const
  ) {
    const { code, stdout, stderr } = await qshm(ANY, ["run", ...options, "n", "echo", "ran"], { env });
    expect({ code, stdout }, options.join(" ")).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain(message);
  }
  expect(directory.entries()).toEqual([]);
});
