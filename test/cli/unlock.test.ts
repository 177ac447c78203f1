/** `qshm unlock`. */

import { describe, expect, it } from "vitest";
import { LockError, SharedMemory, SingleInstance } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { setLockOwner } from "../support/kernel.ts";
import { RUNTIMES } from "../support/runtimes.ts";
import { makeDead, makeForeign, makePersistent } from "./segments.ts";
import { qshm } from "./support.ts";

describe.each(RUNTIMES)("qshm unlock in %s", (runtime) => {
  it("names the owner, and takes the lock away only with --force", async () => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    const lock = memory.lockSync();
    const env = { QSHM_DIRECTORY: directory.path };
    const refused = await qshm(runtime, ["unlock", "a"], { env });
    expect(refused).toMatchObject({ code: 75, stdout: "" });
    expect(refused.stderr).toMatch(
      new RegExp(`^qshm: memory:a is locked by process ${process.pid} since .*; --force takes the lock away from it\n$`),
    );
    expect(memory.lockOwner).toBeDefined();

    const forced = await qshm(runtime, ["unlock", "a", "--force"], { env });
    expect(forced).toMatchObject({ code: 0, stderr: "" });
    expect(forced.stdout).toMatch(new RegExp(`^memory:a is unlocked: process ${process.pid} since .* had the lock\n$`));
    expect(memory.lockOwner).toBeUndefined();
    expect(() => lock.unlock()).toThrow(LockError);
    const next = memory.lockSync(); // which is taken away as well
    expect(next.ownerDied).toBe(true);

    const json = await qshm(runtime, ["unlock", "a", "--force", "--json"], { env });
    expect(JSON.parse(json.stdout)).toEqual({
      kind: "memory",
      key: "a",
      unlocked: true,
      owner: { pid: process.pid, startedAt: expect.any(String), alive: true },
    });
  });
});

describe("qshm unlock", () => {
  it("says that a lock is free", async () => {
    using directory = testDirectory();
    using _memory = SharedMemory.create("a", 1, { directory: directory.path });
    for (const force of [[], ["--force"]]) {
      const run = (...args: string[]) => qshm("bun", ["unlock", "a", ...force, ...args, `--directory=${directory.path}`]);
      expect(await run()).toMatchObject({ code: 0, stdout: "memory:a is not locked\n", stderr: "" });
      expect(JSON.parse((await run("--json")).stdout)).toEqual({ kind: "memory", key: "a", unlocked: false, owner: null });
    }
  });

  it("leaves what is dead as it is", async () => {
    using directory = testDirectory();
    setLockOwner(makePersistent(directory.path, "kept"), 1);
    makeDead(directory.path, "dead");
    makeForeign(directory.path, "foreign");
    const run = (key: string) => qshm("bun", ["unlock", key, "--force", `--directory=${directory.path}`]);
    expect(await run("kept")).toMatchObject({
      code: 0,
      stdout: "memory:kept needs no unlocking: its owner died, and the next one gets the lock at once\n",
    });
    expect(await run("dead")).toMatchObject({ code: 0, stdout: "memory:dead is not locked\n" });
    expect(await run("foreign")).toMatchObject({ code: 0, stdout: "memory:foreign is not locked\n" });
    expect(directory.entries()).toEqual(["m-dead", "m-foreign", "m-kept"]);
    using memory = SharedMemory.attach("kept", { directory: directory.path });
    using lock = memory.lockSync();
    expect(lock.ownerDied).toBe(true);
  });

  it("unlocks no guard", async () => {
    using directory = testDirectory();
    using guard = await SingleInstance.acquire("only", { directory: directory.path });
    const refused = await qshm("bun", ["unlock", "only", "--force", `--directory=${directory.path}`]);
    expect(refused).toMatchObject({ code: 75, stdout: "" });
    expect(refused.stderr).toMatch(
      new RegExp(`^qshm: instance:only is held by process ${process.pid} since .*: a guard cannot be unlocked, end its holder\n$`),
    );
    expect(guard.lost.aborted).toBe(false);
  });

  it.each([
    [["nothing"], 69],
    [[], 64],
    [["a", "b"], 64],
    [["--frce", "a"], 64],
  ])("%j: exit %i", async (args, code) => {
    using directory = testDirectory();
    const result = await qshm("bun", ["unlock", ...args], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toMatch(/^qshm: [^\n]+\n(qshm: see qshm --help\n)?$/);
  });
});
