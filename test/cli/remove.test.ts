/** `qshm remove`. */

import { renameSync, symlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SharedMemory, SingleInstance } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { poke } from "../support/kernel.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { makeCorrupt, makeDead, makeDeadGuard, makeForeign, makeFuture, makePersistent, makeTruncated } from "./segments.ts";
import { qshm } from "./support.ts";

const pid = process.pid;

describe.each(RUNTIMES)("qshm remove in %s", (runtime) => {
  it("refuses what is in use, says by whom, and removes it with --force", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    using memory = SharedMemory.create("a", 3, { directory: directory.path });
    const refused = await qshm(runtime, ["remove", "a"], { env });
    expect(refused).toMatchObject({ code: 75, stdout: "" });
    expect(refused.stderr).toMatch(
      new RegExp(`^qshm: memory:a is in use by process ${pid} since \\d{4}-.*; --force removes it all the same\n$`),
    );
    expect(directory.entries()).toEqual(["m-a"]);
    expect(await qshm(runtime, ["remove", "--force", "a"], { env })).toMatchObject({ code: 0, stdout: "removed memory:a\n", stderr: "" });
    expect(directory.entries()).toEqual([]);
    expect(memory.read()).toHaveLength(3);
  });

  it("never removes a guard that is held", async () => {
    using directory = testDirectory();
    using guard = await SingleInstance.acquire("only", { directory: directory.path });
    for (const force of [[], ["--force"]]) {
      const refused = await qshm(runtime, ["remove", ...force, "only", `--directory=${directory.path}`]);
      expect(refused).toMatchObject({ code: 75, stdout: "" });
      expect(refused.stderr).toMatch(
        new RegExp(`^qshm: instance:only is held by process ${pid} since .*: a guard that is held stays, end its holder\n$`),
      );
    }
    expect(guard.lost.aborted).toBe(false);
    expect(directory.entries()).toEqual(["i-only"]);
  });

  it("removes all that is dead with --dead, and nothing else", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using _memory = SharedMemory.create("live", 1, place);
    using _guard = await SingleInstance.acquire("live", place);
    makeDead(directory.path, "dead");
    await makeDeadGuard(directory.path, "dead");
    makeCorrupt(directory.path, "corrupt");
    makeTruncated(directory.path, "cut");
    poke(makeCorrupt(directory.path, "corrupt-kept"), 7, Uint8Array.of(1));
    makePersistent(directory.path, "kept");
    makeForeign(directory.path, "foreign");
    makeFuture(directory.path, "future");
    symlinkSync("/proc/version", `${directory.path}/m-link`);
    const run = (...args: string[]) => qshm(runtime, ["remove", "--dead", ...args, `--directory=${directory.path}`]);
    expect(await run()).toMatchObject({
      code: 0,
      stdout: "removed instance:dead\nremoved memory:corrupt\nremoved memory:cut\nremoved memory:dead\n",
      stderr: "",
    });
    expect(directory.entries()).toEqual(["i-live", "m-corrupt-kept", "m-foreign", "m-future", "m-kept", "m-link", "m-live"]);
    expect(await run()).toMatchObject({ code: 0, stdout: "nothing is dead\n" });
    expect(await run("--json")).toMatchObject({ code: 0, stdout: '{"removed":[]}\n' });
  });
});

describe("qshm remove", () => {
  it.each([
    ["dead", makeDead],
    ["persistent", makePersistent],
    ["foreign", makeForeign],
    ["future", makeFuture],
    ["corrupt", makeCorrupt],
  ])("removes what is %s without --force", async (key, make) => {
    using directory = testDirectory();
    const path = make(directory.path, key);
    const { code, stdout } = await qshm("bun", ["remove", "--json", key, `--directory=${directory.path}`]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ removed: [{ kind: "memory", key, path }] });
    expect(directory.entries()).toEqual([]);
  });

  it("removes a dead guard", async () => {
    using directory = testDirectory();
    await makeDeadGuard(directory.path, "dead");
    expect(await qshm("bun", ["remove", "dead", `--directory=${directory.path}`])).toMatchObject({ code: 0 });
    expect(directory.entries()).toEqual([]);
  });

  it("--dead finds what has no whole name", async () => {
    using directory = testDirectory();
    const digest = "0123456789abcdef".repeat(4);
    renameSync(makeCorrupt(directory.path, "a"), `${directory.path}/m-${"n".repeat(100)}~${digest}`);
    const { code, stdout } = await qshm("bun", ["remove", "--dead", `--directory=${directory.path}`]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `removed 'memory:${"n".repeat(100)}…'\n` });
    expect(directory.entries()).toEqual([]);
  });

  it("lists at most eight users", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using _memory = SharedMemory.create("a", 1, place);
    const others = Array.from({ length: 9 }, () => SharedMemory.attach("a", place));
    const { stderr } = await qshm("bun", ["remove", "a", `--directory=${directory.path}`]);
    others.forEach((memory) => memory.detach());
    expect(stderr.match(/process \d+ since/g)).toHaveLength(8);
    expect(stderr).toContain(", and 2 more; --force");
  });

  it("does not touch what a link leads to", async () => {
    using directory = testDirectory();
    symlinkSync("/proc/version", `${directory.path}/m-link`);
    const result = await qshm("bun", ["remove", "memory:link", "--force", `--directory=${directory.path}`]);
    expect(result).toMatchObject({ code: 77, stdout: "" });
    expect(result.stderr).toMatch(/^qshm: .*is a symbolic link.*\n$/);
  });

  it.each([
    [["nothing"], 69],
    [["--force", "instance:nothing"], 69],
    [[], 64],
    [["a", "b"], 64],
    [["--dead", "a"], 64],
    [["--dead", "--force"], 64],
    [["--ded"], 64],
    [["--", "--dead"], 69],
  ])("%j: exit %i", async (args, code) => {
    using directory = testDirectory();
    const result = await qshm("bun", ["remove", ...args], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(/^qshm: [^\n]+\n(qshm: see qshm --help\n)?$/);
  });
});
