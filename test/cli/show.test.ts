/** `qshm show`. */

import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SharedMemory, SingleInstance } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { because } from "../support/skips.ts";
import { makeCorrupt, makeDead, makeDeadGuard, makeForeign, makeFuture, makePersistent } from "./segments.ts";
import { qshm, startQshm } from "./support.ts";

const pid = process.pid;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Every byte, also those that no text has, and more than a pipe takes at once. */
const everyByte = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255);

describe.each(RUNTIMES)("qshm show in %s", (runtime) => {
  it("shows a live memory, and changes nothing", async () => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 100, { directory: directory.path });
    memory.write(bytesOf("hällo\n"));
    using _lock = memory.lockSync();
    const { code, stdout, stderr } = await qshm(runtime, ["show", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.replaceAll(/since .*/g, "since then").split("\n")).toEqual([
      "memory:a",
      `  path       ${memory.path}`,
      "  size       100 bytes",
      "  state      live",
      `  attached   process ${pid} since then`,
      "  revision   1",
      `  lock       held by process ${pid} since then`,
      '  contents   "hällo\\n"',
      "             … --hex shows all 100 bytes",
      "",
    ]);
    expect(memory.lockOwner?.pid).toBe(pid);
    expect(directory.entries()).toEqual(["m-a"]);
  });

  it("writes the very bytes with --raw, also many, to a file, a pipe, and as base64", async () => {
    using directory = testDirectory();
    const contents = everyByte(1_000_003);
    using memory = SharedMemory.create("raw", contents.length, { directory: directory.path });
    memory.write(contents);
    const raw = await qshm(runtime, ["show", "--raw", "raw", `--directory=${directory.path}`]);
    expect(raw).toMatchObject({ code: 0, stderr: "" });
    expect(Buffer.compare(raw.stdoutBytes, contents)).toBe(0);
    const json = await qshm(runtime, ["show", "--raw", "--json", "raw", `--directory=${directory.path}`]);
    const { dataBase64, ...others } = JSON.parse(json.stdout);
    expect(Buffer.compare(Buffer.from(dataBase64, "base64"), contents)).toBe(0);
    expect(others).toMatchObject({ kind: "memory", key: "raw", size: contents.length, state: "live" });
  });

  it.each([[["--raw"]], [["--hex"]], [["--raw", "--json"]]])("ends quietly when nobody reads on: %j", async (options) => {
    using directory = testDirectory();
    using memory = SharedMemory.create("early", 1 << 20, { directory: directory.path });
    memory.write(everyByte(1 << 20));
    const child = startQshm(runtime, ["show", ...options, "early", `--directory=${directory.path}`]);
    let stderr = "";
    child.stderr!.on("data", (text) => stderr += text);
    const closed = once(child, "close");
    await once(child.stdout!, "data");
    child.stdout!.destroy();
    expect(await closed).toEqual([0, null]);
    expect(stderr).toBe("");
  });

  it("reads what is kept and takes no news from its next user", async () => {
    using directory = testDirectory();
    const path = makePersistent(directory.path, "kept", everyByte(5000));
    const before = readFileSync(path);
    const env = { QSHM_DIRECTORY: directory.path };
    const raw = await qshm(runtime, ["show", "--raw", "kept"], { env });
    expect(Buffer.compare(raw.stdoutBytes, everyByte(5000))).toBe(0);
    expect((await qshm(runtime, ["show", "kept"], { env })).stdout).toContain("dead, persistent: nobody is attached, it is kept");
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
    using memory = SharedMemory.attach("kept", { directory: directory.path });
    expect(memory.recovered).toBe(true);
  });

  it("shows the holder of a guard", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using _guard = await SingleInstance.acquire("only", { ...place, args: ["serve", "it's"], data: { port: 8080 } });
    const people = await qshm(runtime, ["show", "only", `--directory=${directory.path}`]);
    expect(people.code).toBe(0);
    expect(people.stdout).toMatch(new RegExp(`^instance:only\n[^]*  guard      held by process ${pid} since .*\n`));
    expect(people.stdout).toContain("  command    serve 'it'\\''s'\n");
    expect(people.stdout).toContain('  data       {"port":8080}\n');
    const programs = await qshm(runtime, ["show", "only", "--json", `--directory=${directory.path}`]);
    expect(JSON.parse(programs.stdout)).toMatchObject({
      kind: "instance",
      held: true,
      holder: { pid, args: ["serve", "it's"], data: { port: 8080 }, dataBase64: null, problem: null },
    });
  });
});

describe("qshm show", () => {
  it.each([
    ["dead", makeDead, "dead: nobody is attached, the next create or attach reclaims it"],
    ["foreign", makeForeign, "foreign: made by another version, or no segment at all"],
    ["future", makeFuture, "foreign: made by another version, or no segment at all"],
    ["corrupt", makeCorrupt, "corrupt: its control block is damaged"],
  ])("describes what is %s, and leaves it as it is", async (key, make, state) => {
    using directory = testDirectory();
    const path = make(directory.path, key);
    const before = readFileSync(path);
    const env = { QSHM_DIRECTORY: directory.path };
    const { code, stdout } = await qshm("bun", ["show", key], { env });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`  state      ${state}\n`) });
    expect(stdout).not.toContain("contents");
    for (const option of ["--raw", "--hex"]) {
      expect(await qshm("bun", ["show", option, key], { env })).toMatchObject({
        code: 69,
        stdout: "",
        stderr: expect.stringMatching(new RegExp(`^qshm: memory:${key} has nothing to read: it is (dead|foreign|corrupt)\n$`)),
      });
    }
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  it("describes a guard that nobody holds", async () => {
    using directory = testDirectory();
    await makeDeadGuard(directory.path, "free");
    const env = { QSHM_DIRECTORY: directory.path };
    expect((await qshm("bun", ["show", "free"], { env })).stdout).toContain("  guard      free\n");
    const { stdout } = await qshm("bun", ["show", "free", "--json"], { env });
    expect(JSON.parse(stdout)).toMatchObject({ held: false, holder: null });
    expect(directory.entries()).toEqual(["i-free"]);
  });

  const unlessHexdump = spawnSync("hexdump", ["--version"]).error === undefined ? undefined : "no hexdump to compare with";
  it.skipIf(unlessHexdump)(because("--hex is what hexdump -C shows", unlessHexdump), async () => {
    for (const size of [1, 15, 16, 17, 100, 5000, 49152, 49153, 100_000]) {
      using directory = testDirectory();
      const contents = everyByte(size).fill(0, 32, Math.max(32, size - 40)); // rows that repeat
      using memory = SharedMemory.create("hex", size, { directory: directory.path });
      memory.write(contents);
      const { stdout } = await qshm("bun", ["show", "--hex", "hex", `--directory=${directory.path}`]);
      expect(stdout).toBe(execFileSync("hexdump", ["-C"], { input: contents, encoding: "utf8" }));
    }
  });

  it.each([
    ["text", bytesOf("plain"), /contents {3}"plain"\n$/],
    ["text with zeros behind it", bytesOf("plain\0\0\0"), /contents {3}"plain"\n$/],
    ["a character that is cut in two", bytesOf("x".repeat(63) + "ä"), /contents {3}"x{63}"\n {13}… --hex shows all 65 bytes\n$/],
    ["escape sequences", bytesOf("\x1b[31mred"), /contents {3}00000000 {2}1b 5b 33 31 6d.*\|\.\[31mred\|\n$/],
    ["half a character", Uint8Array.of(0x61, 0xc3), /contents {3}00000000 {2}61 c3 .*\|a\.\|\n$/],
    ["zeros", new Uint8Array(20), /contents {3}00000000( |0)+\|\.{16}\|\n {13}00000010( |0)+\|\.{4}\|\n$/],
  ])("previews %s", async (_, contents, expected) => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", contents.length, { directory: directory.path });
    memory.write(contents);
    expect((await qshm("bun", ["show", "a", `--directory=${directory.path}`])).stdout).toMatch(expected);
  });

  it("finds the only kind of a key, and asks where there are several", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const env = { QSHM_DIRECTORY: directory.path };
    using _memory = SharedMemory.create("both", 1, place);
    using _colons = SharedMemory.create("memory:a:b", 1, place);
    using _guard = await SingleInstance.acquire("both", place);
    expect(await qshm("bun", ["show", "both"], { env })).toMatchObject({
      code: 64,
      stdout: "",
      stderr: "qshm: several are named both, say which: memory:both, instance:both\nqshm: see qshm --help\n",
    });
    expect((await qshm("bun", ["show", "memory:both"], { env })).stdout).toMatch(/^memory:both\n/);
    expect((await qshm("bun", ["show", "instance:both"], { env })).stdout).toMatch(/^instance:both\n/);
    expect((await qshm("bun", ["show", "memory:memory:a:b"], { env })).stdout).toMatch(/^memory:memory:a:b\n/);
  });

  it("knows a key that listings cut", async () => {
    using directory = testDirectory();
    const key = "long ".repeat(1000);
    using memory = SharedMemory.create(key, 5, { directory: directory.path });
    memory.write(bytesOf("whole"));
    const { code, stdout } = await qshm("bun", ["show", "--raw", key, `--directory=${directory.path}`]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "whole" });
  });

  it.each([
    [["nothing"], 69, "there is no nothing; qshm list shows what there is"],
    [["value:nothing"], 69, "there is no value:nothing; qshm list shows what there is"],
    [["memory:a:b"], 69, "there is no memory:a:b; qshm list shows what there is"],
    [["a:b c"], 64, "a KEY with a colon needs its KIND, such as 'memory:a:b c'"],
    [["memory:"], 64, "KEY is empty"],
    [[""], 64, "KEY is empty"],
    [[], 64, "[KIND:]KEY is missing"],
    [["a", "b"], 64, 'unexpected argument "b"'],
    [["--raw", "--hex", "a"], 64, "--hex does not go with --raw"],
    [["--json", "--hex", "a"], 64, "--hex does not go with --json"],
    [["--row", "a"], 64, "Unknown option '--row'"],
  ])("%j: exit %i", async (args, code, message) => {
    using directory = testDirectory();
    const result = await qshm("bun", ["show", ...args], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toBe(`qshm: ${message}\n${code === 64 ? "qshm: see qshm --help\n" : ""}`);
  });

  it("shows no contents of what has none", async () => {
    using directory = testDirectory();
    using _guard = await SingleInstance.acquire("a", { directory: directory.path });
    const result = await qshm("bun", ["show", "--raw", "a", `--directory=${directory.path}`]);
    expect(result).toMatchObject({ code: 64, stdout: "" });
    expect(result.stderr).toContain("--hex and --raw show the contents of a memory or a value: instance:a is neither");
  });
});
