/** `qshm send`, and what the other commands tell of messages that are pending. */

import { describe, expect, it } from "vitest";
import { inspect } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { start, until } from "./run/support.ts";
import { qshm } from "./support.ts";

/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;

/** A program that holds `n`, and does what it is told. */
async function server(runtime: RuntimeName, directory: string): Promise<Peer> {
  const peer = await Peer.start(runtime, { directory });
  await peer.run(async ({ SingleInstance }, state) => {
    state.handled = [];
    state.aborted = 0;
    state.guard = await SingleInstance.acquire("n", { args: [], maxMessageSize: 1 << 16 });
    state.guard.serve(async ({ kind, data, signal }: { kind: string; data: unknown; signal: AbortSignal }) => {
      state.handled.push(data);
      switch (data) {
        case "throw":
          throw new RangeError("no such\nthing");
        case "nothing":
          return;
        case "text":
          return { data: "two\nlines" };
        case "line":
          return { data: "a line\n" };
        case "bytes":
          return { data: Uint8Array.of(0, 255, 128, 10), exitCode: 255 };
        case "all":
          return { stdout: "out without newline", stderr: "err\n", exitCode: 7, data: { kind, "é\u009b": [1, null] } };
        case "end":
          process.exit(0);
          break;
        case "hang":
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          state.aborted++;
          return;
        default:
          return { data: { kind, data } };
      }
    });
  });
  return peer;
}

const pendingOf = (directory: string): number | undefined => inspect("instance", "n", { directory })?.instance?.pending;

for (const [i, runtime] of RUNTIMES.entries()) {
  const other = RUNTIMES[(i + 1) % RUNTIMES.length]!;

  describe(`qshm send in ${runtime} to a program in ${other}`, () => {
    it("prints the reply's stdout, stderr and data, and exits with its exit code", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await server(other, directory.path);
      const send = (...args: string[]) => qshm(runtime, ["send", ...args], { env });
      expect(await send("n", "nothing")).toMatchObject({ code: 0, stdout: "", stderr: "" });
      expect(await send("n", "text")).toMatchObject({ code: 0, stdout: "two\nlines\n", stderr: "" });
      expect(await send("n", "line")).toMatchObject({ code: 0, stdout: "a line\n", stderr: "" });
      const bytes = await send("n", "bytes");
      expect(bytes).toMatchObject({ code: 255, stderr: "" });
      expect([...bytes.stdoutBytes]).toEqual([0, 255, 128, 10]);
      expect(await send("n", "all")).toMatchObject({
        code: 7,
        stdout: 'out without newline{"kind":"message","é\\u009b":[1,null]}\n',
        stderr: "err\n",
      });
      for (const message of ["", "é 日本\n", "--", "--help", "-x"]) {
        expect(JSON.parse((await send("--", "n", message)).stdout)).toEqual({ kind: "message", data: message });
      }
      expect(await peer.run((_api, { handled }) => handled.length as number)).toBe(10);
      expect(pendingOf(directory.path)).toBe(0);
    });

    it("with --json sends JSON, and prints one object", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using _peer = await server(other, directory.path);
      const send = async (message: string) => {
        const { code, stdout, stderr } = await qshm(runtime, ["send", "--json", "n", message], { env });
        expect(stderr).toBe("");
        expect(stdout.indexOf("\n")).toBe(stdout.length - 1);
        return { code, reply: JSON.parse(stdout) };
      };
      const nothing = { name: "n", exitCode: null, stdout: null, stderr: null, data: null, dataBase64: null };
      expect(Object.keys((await send('"nothing"')).reply)).toEqual(Object.keys(nothing));
      expect(await send('"nothing"')).toEqual({ code: 0, reply: nothing });
      expect(await send('"bytes"')).toEqual({ code: 255, reply: { ...nothing, exitCode: 255, dataBase64: "AP+ACg==" } });
      expect(await send('"all"')).toEqual({
        code: 7,
        reply: {
          ...nothing,
          exitCode: 7,
          stdout: "out without newline",
          stderr: "err\n",
          data: { kind: "message", "é\u009b": [1, null] },
        },
      });
      for (const message of ['{"a":[1,2.5,"é",null,true,{}]}', "null", "0", '""', " [ ] "]) {
        expect((await send(message)).reply.data).toEqual({ kind: "message", data: JSON.parse(message) });
      }
    });

    it("with - sends standard input", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using _peer = await server(other, directory.path);
      const text = "line\n".repeat(10_000) + "é";
      const sent = await qshm(runtime, ["send", "n", "-"], { env, input: text });
      expect(sent.code).toBe(0);
      expect(JSON.parse(sent.stdout)).toEqual({ kind: "message", data: text });
      const json = await qshm(runtime, ["send", "--json", "n", "-"], { env, input: '{"a":\n1}' });
      expect(JSON.parse(json.stdout).data).toEqual({ kind: "message", data: { a: 1 } });
    });

    it("tells what became of a message that is not answered", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await server(other, directory.path);
      const send = (...args: string[]) => qshm(runtime, ["send", "n", ...args], { env });
      expect(await send("throw")).toMatchObject({
        code: 1,
        stdout: "",
        stderr: 'qshm: Cannot send to instance "n": its handler failed: RangeError: no such\nthing\n',
      });
      const late = await send("hang", "--timeout=0.3");
      expect(late).toMatchObject({ code: 75, stdout: "" });
      expect(late.stderr).toMatch(/^qshm: Timed out after 300 ms .*the message was (not )?accepted.*\n$/);
      const large = await send("x".repeat(70_000));
      expect(large).toMatchObject({ code: 65, stdout: "" });
      expect(large.stderr).toMatch(/^qshm: .*the message takes 70002 bytes, it takes at most 65536 /);
      expect(await send("end")).toMatchObject({
        code: 69,
        stdout: "",
        stderr: 'qshm: Cannot send to instance "n": its holder died or left while it handled the message; whether it was handled cannot be known\n',
      });
      await peer.exited();
      expect(await send("text")).toMatchObject({
        code: 69,
        stdout: "",
        stderr: 'qshm: Cannot send to instance "n": nobody holds it; the message was not handed over\n',
      });
    });

    it("a qshm run takes no messages, and says so at once", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using holder = start(other, ["run", "n", "sh", "-c", "echo up; cat"], { env });
      expect(await holder.line()).toBe("up");
      expect(await qshm(runtime, ["send", "n", "text"], { env })).toMatchObject({
        code: 69,
        stdout: "",
        stderr: 'qshm: Cannot send to instance "n": its holder takes no more messages; the message was not handed over\n',
      });
      expect((await holder.end()).status).toBe(0);
      expect(directory.entries()).toEqual([]);
    });

    it("SIGINT, SIGTERM and SIGHUP withdraw it: a handler learns it, and what was not taken is never handled", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await server(other, directory.path);
      const handled = () => peer.run((_api, state) => ({ handled: state.handled as unknown[], aborted: state.aborted as number }));
      const signals = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;
      for (const [i, [signal, status]] of signals.entries()) {
        await using sender = start(runtime, ["send", "n", "hang"], { env });
        while ((await handled()).handled.length <= i);
        process.kill(sender.pid, signal);
        expect(await sender.ended()).toEqual({ lines: [], status });
        expect(sender.stderr).toBe("");
        while ((await handled()).aborted <= i);
      }
      await until(() => pendingOf(directory.path) === 0);
      peer.signal("SIGSTOP");
      await using sender = start(runtime, ["send", "n", "never"], { env });
      await until(() => pendingOf(directory.path) === 1);
      process.kill(sender.pid, "SIGINT");
      expect(await sender.ended()).toEqual({ lines: [], status: 130 });
      expect(pendingOf(directory.path)).toBe(0);
      peer.signal("SIGCONT");
      expect((await qshm(runtime, ["send", "n", "text"], { env })).code).toBe(0);
      expect((await handled()).handled).toEqual(["hang", "hang", "hang", "text"]);
    });

    it("what is pending is told by status, list, show and top", async () => {
      using directory = testDirectory();
      const env = { QSHM_DIRECTORY: directory.path };
      await using peer = await server(other, directory.path);
      const tell = async (...args: string[]) => {
        const { code, stdout } = await qshm(runtime, args, { env });
        expect(code).toBe(0);
        return stdout;
      };
      const json = async (...args: string[]) => JSON.parse(await tell(...args, "--json"));
      const all = async () => [
        (await json("status", "n")).pending,
        (await json("list"))[0].pending,
        (await json("show", "n")).pending,
        (await json("top", "--count=1")).segments[0].pending,
      ];
      expect(await all()).toEqual([0, 0, 0, 0]);
      expect(await tell("status", "n")).not.toContain("pending");
      expect(await tell("list")).toMatch(new RegExp(` ${peer.pid}\n$`));

      await using first = start(runtime, ["send", "n", "hang"], { env });
      await using second = start(other, ["send", "n", "hang"], { env });
      await until(() => pendingOf(directory.path) === 2);
      expect(await all()).toEqual([2, 2, 2, 2]);
      expect(await tell("status", "n")).toMatch(/\n {2}messages {3}2 pending\n$/);
      expect(await tell("show", "n")).toMatch(/\n {2}messages {3}2 pending\n$/);
      expect(await tell("list")).toMatch(new RegExp(` ${peer.pid}: 2 pending\n$`));
      expect(await tell("top", "--count=1")).toMatch(/ 2 pending\n\n$/);
      for (const sender of [first, second]) {
        sender.child.kill("SIGTERM");
        expect((await sender.ended()).status).toBe(143);
      }
      await until(() => pendingOf(directory.path) === 0);
      expect(inspect("instance", "n", { directory: directory.path })?.instance).toEqual({ held: true, pending: 0 });
      await peer.kill();
      expect(inspect("instance", "n", { directory: directory.path })?.instance).toEqual({ held: false, pending: 0 });
    });
  });
}

describe("qshm send", () => {
  it("ends with 64 for a mistake in how it is called, and sends nothing", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    await using peer = await server(ANY, directory.path);
    for (
      const [args, message] of [
        [[], "NAME is missing"],
        [["n"], "MESSAGE is missing"],
        [["n", "a", "b"], 'unexpected argument "b"'],
        [["", "a"], "must not be empty"],
        [["n", "a", "--timeout=soon"], "--timeout"],
        [["n", "a", "--timeout=-1"], "--timeout"],
        [["n", "a", "--json=yes"], "--json"],
        [["n", "a", "--jsno"], "--jsno"],
        [["n", "-x"], "-x"],
        [["n", "a", "--directory="], "must not be empty"],
        [["n", "{a", "--json"], "with --json MESSAGE must be JSON"],
        [["n", "", "--json"], "with --json MESSAGE must be JSON"],
        [["n", "NaN", "--json"], "with --json MESSAGE must be JSON"],
        [["n", "1e999", "--json"], "must be JSON"],
      ] as const
    ) {
      const { code, stdout, stderr } = await qshm(ANY, ["send", ...args], { env });
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 64, stdout: "" });
      expect(stderr).toContain(message);
    }
    const input = await qshm(ANY, ["send", "n", "-"], { env, input: Uint8Array.of(0x61, 0xff) });
    expect(input).toMatchObject({ code: 64, stderr: "qshm: standard input must be UTF-8\nqshm: see qshm --help\n" });
    expect(await peer.run((_api, { handled }) => handled.length as number)).toBe(0);
  });
});
