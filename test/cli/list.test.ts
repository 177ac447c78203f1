/** `qshm list`. */

import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SharedMemory, SingleInstance } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { makeCorrupt, makeDead, makeDeadGuard, makeForeign, makeFuture, makePersistent, makeTruncated } from "./segments.ts";
import { qshm } from "./support.ts";

const pid = process.pid;

describe.each(RUNTIMES)("qshm list in %s", (runtime) => {
  it("shows people and programs everything, and changes nothing", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("live", 5000, { ...place, persistent: true });
    using another = SharedMemory.attach("live", place);
    using _lock = another.lockSync();
    using _guard = await SingleInstance.acquire("live", place);
    makeDead(directory.path, "dead");
    await makeDeadGuard(directory.path, "dead");
    makePersistent(directory.path, "kept");
    makeForeign(directory.path, "foreign");
    makeFuture(directory.path, "future");
    makeCorrupt(directory.path, "corrupt");
    makeTruncated(directory.path, "cut");
    const before = readdirSync(directory.path).sort();

    const people = await qshm(runtime, ["list"], { env: { QSHM_DIRECTORY: directory.path } });
    expect(people).toMatchObject({ code: 0, stderr: "" });
    expect(people.stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["KIND", "KEY", "SIZE", "STATE", "ATTACHED", "HELD BY"],
      ["instance", "dead", "-", "dead", "-", "-"],
      ["instance", "live", "-", "live", `1: ${pid}`, `${pid}`],
      ["memory", "corrupt", "-", "corrupt", "-", "-"],
      ["memory", "cut", "-", "corrupt", "-", "-"],
      ["memory", "dead", "10 bytes", "dead", "-", "-"],
      ["memory", "foreign", "-", "foreign", "-", "-"],
      ["memory", "future", "-", "foreign", "-", "-"],
      ["memory", "kept", "10 bytes", "dead, persistent", "-", "-"],
      ["memory", "live", "4.88 KiB", "live, persistent", `2: ${pid}, ${pid}`, `${pid}`],
      [""],
    ]);

    const programs = await qshm(runtime, ["list", "--json", `--directory=${directory.path}`]);
    expect(programs).toMatchObject({ code: 0, stderr: "" });
    const segments = JSON.parse(programs.stdout);
    const self = { pid, startedAt: expect.stringMatching(/^\d{4}-.*Z$/), alive: true };
    expect(segments.at(-1)).toEqual({
      kind: "memory",
      key: "live",
      path: memory.path,
      size: 5000,
      persistent: true,
      state: "live",
      attached: [self, self],
      lockOwner: self,
      revision: 0,
      waiting: 0,
    });
    expect(segments[0]).toMatchObject({ kind: "instance", key: "dead", state: "dead", held: false, attached: [] });
    expect(segments[1]).toMatchObject({ kind: "instance", key: "live", state: "live", held: true, attached: [self] });
    expect(segments).toHaveLength(9);
    expect(readdirSync(directory.path).sort()).toEqual(before);
  });

  it("writes all of a long list to a slow reader", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const memories = Array.from({ length: 500 }, (_, i) => SharedMemory.create(`${"key".repeat(20)}${i}`, 1, place));
    const { code, stdout } = await qshm(runtime, ["list", "--json", `--directory=${directory.path}`]);
    memories.forEach((memory) => memory.detach());
    expect(code).toBe(0);
    expect(stdout.length).toBeGreaterThan(1 << 17);
    expect(JSON.parse(stdout)).toHaveLength(500);
  });
});

describe("qshm list", () => {
  it("says where there is nothing", async () => {
    using directory = testDirectory();
    const run = (...args: string[]) => qshm("bun", ["list", `--directory=${directory.path}/`, ...args]);
    expect(await run()).toMatchObject({ code: 0, stdout: `there is nothing in ${directory.path}\n`, stderr: "" });
    expect(await run("--json")).toMatchObject({ code: 0, stdout: "[]\n" });
    const env = { QSHM_DIRECTORY: directory.path };
    expect((await qshm("bun", ["list"], { env })).stdout).toBe(`there is nothing in ${directory.path}\n`);
  });

  it("lets no key break the table or the terminal", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const keys = ["\x1b[31mred", "\x9b31m", "a\nb\t'\\", "\u202eright", "\u{e0041}tag", "日本語", "it's", "long ".repeat(100)];
    const memories = keys.map((key) => SharedMemory.create(key, 1, place));
    const people = await qshm("bun", ["list", `--directory=${directory.path}`]);
    const programs = await qshm("bun", ["list", "--json", `--directory=${directory.path}`]);
    memories.forEach((memory) => memory.detach());
    for (const { stdout } of [people, programs]) expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const lines = people.stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(keys.length + 1);
    expect(lines.slice(1).map((line) => /^memory {2}(.*?) {2,}1 byte {2,}/.exec(line)?.[1]).sort()).toEqual([
      "$'\\u001b[31mred'",
      "$'\\u009b31m'",
      "$'a\\nb\\t\\'\\\\'",
      "$'\\u202eright'",
      "$'\\U000e0041tag'",
      "'日本語'",
      `'it'\\''s'`,
      `'${"long ".repeat(100).slice(0, 63)}…'`,
    ].sort());
    expect(JSON.parse(programs.stdout).map(({ key }: { key: string }) => key).sort()).toEqual([...keys].sort());
  });

  it("lists what stands at a name and is not to be touched", async () => {
    using directory = testDirectory();
    symlinkSync("/proc/version", `${directory.path}/m-link`);
    mkdirSync(`${directory.path}/i-directory`);
    const { code, stdout } = await qshm("bun", ["list", "--json", `--directory=${directory.path}`]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([
      { kind: "instance", key: "directory", state: "foreign", held: null },
      { kind: "memory", key: "link", state: "foreign" },
    ]);
  });

  it("does not ask for another guard than the one whose name it knows in part", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const name = "n".repeat(3000);
    using _long = await SingleInstance.acquire(name, place);
    const { stdout } = await qshm("bun", ["list", "--json", `--directory=${directory.path}`]);
    expect(JSON.parse(stdout)).toMatchObject([{ state: "live", held: null }]);
  });

  it("knows wrong usage", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    for (const args of [["--jsn"], ["operand"], ["--directory"], ["--json=1"]]) {
      const { code, stdout, stderr } = await qshm("bun", ["list", ...args], { env });
      expect({ code, stdout }, args.join()).toEqual({ code: 64, stdout: "" });
      expect(stderr).toMatch(/^qshm: .+\nqshm: see qshm --help\n$/);
    }
    expect(await qshm("bun", ["list", "--directory="], { env })).toMatchObject({ code: 64, stdout: "" });
    expect((await qshm("bun", ["list", "--help"])).stdout).toMatch(/^Usage: qshm list/);
  });

  it("says what is wrong with the directory, in a line", async () => {
    const { code, stderr } = await qshm("bun", ["list", "--directory=/nonexistent"]);
    expect(code).toBe(70);
    expect(stderr).toMatch(/^qshm: .*does not exist.*\nqshm: see qshm doctor\n$/);
  });
});
