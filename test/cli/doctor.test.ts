/** `qshm doctor`, on set-ups that are healthy and on each that is broken. */

import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { testDirectory } from "../support/directory.ts";
import { LIBRARY, RUNTIMES, TEST_LIBRARY } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { makeDead, makePersistent } from "./segments.ts";
import { environmentFor, LAUNCHER, qshm, type StartOptions } from "./support.ts";

interface Check {
  readonly check: string;
  readonly state: string;
  readonly found: string;
  readonly remedy: string | null;
}

const like = (pattern: RegExp): unknown => expect.stringMatching(pattern);

/** Runs it; the checks by name. */
async function examine(env: StartOptions["env"], args: readonly string[] = [], options: StartOptions = {}) {
  const { code, stdout, stderr } = await qshm("bun", ["doctor", "--json", ...args], {
    ...options,
    env: { QSHM_REQUIRE: undefined, ...env },
  });
  expect(stderr).toBe("");
  const { ok, checks }: { ok: boolean; checks: Check[] } = JSON.parse(stdout);
  expect([code, ok]).toEqual(checks.some(({ state }) => state === "broken") ? [1, false] : [0, true]);
  for (const { check, state, remedy } of checks) if (state !== "ok") expect(remedy, check).toBeTruthy();
  return Object.fromEntries(checks.map((check) => [check.check, check]));
}

/** The names of what is not all right. */
function troubles(checks: Record<string, Check>): string[] {
  return Object.values(checks).filter(({ state }) => state !== "ok").map(({ check, state }) => `${check}: ${state}`);
}

const CHECKS = [
  ...["runtime", "platform", "library", "directory", "file system"],
  ...["left over", "trial", "open files", "logout", "container", "environment"],
];

describe.each(RUNTIMES)("qshm doctor in %s", (runtime) => {
  const env = { QSHM_REQUIRE: undefined };

  it("finds nothing wrong where nothing is", async () => {
    using directory = testDirectory();
    const people = await qshm(runtime, ["doctor", `--directory=${directory.path}`], { env });
    expect(people).toMatchObject({ code: 0, stderr: "" });
    const lines = people.stdout.trimEnd().split("\n");
    expect(lines.map((line) => /^ok {2}(.+?) {2,}./.exec(line)?.[1])).toEqual(CHECKS);
    expect(lines[0]).toMatch(new RegExp(`^ok  runtime      ${runtime} \\d+\\.\\d+\\.\\d+`));
    expect(lines[1]).toMatch(/^ok {2}platform +linux-(x64, glibc; run: the whole test suite|arm64, glibc; built, and run under emulation)$/);
    expect(lines[2]).toContain(`${LIBRARY}, interface version `);
    expect(lines[3]).toContain(`${directory.path} (from --directory), mode 0700, yours`);
    expect(directory.entries()).toEqual([]);

    const programs = await qshm(runtime, ["doctor", "--json"], { env: { ...env, QSHM_DIRECTORY: directory.path } });
    const { ok, checks } = JSON.parse(programs.stdout);
    expect({ ok, names: checks.map(({ check }: Check) => check) }).toEqual({ ok: true, names: CHECKS });
    for (const { state, found, remedy } of checks) {
      expect({ state, found, remedy }).toEqual({ state: "ok", found: expect.any(String), remedy: null });
    }
  });

  it("works, above all, where the library does not", async () => {
    using directory = testDirectory();
    const broken = { ...env, QSHM_LIBRARY: "/nonexistent/qshm.so", QSHM_DIRECTORY: directory.path };
    const { code, stdout, stderr } = await qshm(runtime, ["doctor"], { env: broken });
    expect({ code, stderr }).toEqual({ code: 1, stderr: "" });
    expect(stdout).toMatch(/^broken +library +Cannot load .*\/nonexistent\/qshm\.so.*\n +=> unset QSHM_LIBRARY/m);
    expect(stdout).toMatch(/^ok +directory /m);
    expect(stdout).not.toMatch(/trial|\n {2,}at /);
    expect(stdout).toContain("QSHM_LIBRARY=/nonexistent/qshm.so");
  });
});

describe("qshm doctor on the library", () => {
  it("tells one that is none", async () => {
    const { library } = await examine({ QSHM_LIBRARY: "/etc/passwd" });
    expect(library).toMatchObject({ state: "broken", found: expect.stringContaining("/etc/passwd") });
  });

  it.skipIf(SKIPS.cc)(because("tells one of another interface version", SKIPS.cc), async () => {
    const directory = mkdtempSync(`${tmpdir()}/qshm-doctor-`);
    writeFileSync(`${directory}/old.c`, "unsigned qshm_abi_version(void) { return 4711; }\n");
    execFileSync("cc", ["-shared", "-fPIC", "-o", `${directory}/old.so`, `${directory}/old.c`]);
    const { library } = await examine({ QSHM_LIBRARY: `${directory}/old.so` });
    rmSync(directory, { recursive: true });
    expect(library).toMatchObject({ state: "broken", found: like(/has interface version 4711, this package needs \d+/) });
  });
});

describe("qshm doctor on the directory", () => {
  const remedies: [string, (path: string) => void, RegExp, RegExp][] = [
    ["is missing", () => {}, /does not exist$/, /^mkdir -m 700 /],
    ["is a file", (path) => writeFileSync(path, ""), /is no directory$/, /^choose another/],
    ["is a link", (path) => symlinkSync("/tmp", path), /is a symbolic link$/, /^name what it leads to: \/tmp$/],
    ["is a link to nothing", (path) => symlinkSync("/nonexistent", path), /is a symbolic link$/, /: nothing$/],
    ["is open to others", (path) => (mkdirSync(path), chmodSync(path, 0o777)), /is open to others \(mode 0777\)$/, /^chmod o-w /],
    ["is sticky", (path) => (mkdirSync(path), chmodSync(path, 0o1770)), /is sticky \(mode 1770\)/, /^chmod -t /],
  ];

  it.each(remedies)("that %s, with and without the library", async (_, make, found, remedy) => {
    using parent = testDirectory();
    const path = `${parent.path}/place`;
    make(path);
    for (const env of [{}, { QSHM_LIBRARY: "/nonexistent" }]) {
      const chosen = {
        "--directory": await examine(env, [`--directory=${path}`]),
        QSHM_DIRECTORY: await examine({ ...env, QSHM_DIRECTORY: `${path}/` }),
      };
      for (const [by, { directory, trial }] of Object.entries(chosen)) {
        expect(directory).toMatchObject({ state: "broken", found: like(found), remedy: like(remedy) });
        expect(directory!.found).toContain(`${path} (from ${by}) `);
        expect(trial).toBeUndefined();
      }
    }
    // The library is of the same opinion.
    expect((await qshm("bun", ["list", `--directory=${path}`])).code).not.toBe(0);
  });

  it("that cannot be reached", async () => {
    const { directory } = await examine({}, ["--directory=/etc/passwd/place"]);
    expect(directory).toMatchObject({ state: "broken", found: like(/cannot be reached: ENOTDIR$/) });
  });

  it("that has no name", async () => {
    const result = await qshm("bun", ["doctor", "--directory="]);
    expect(result).toMatchObject({ code: 64, stdout: "", stderr: like(/--directory is empty/) });
  });

  it("that tells what is left over, which the trial may sweep up", async () => {
    using place = testDirectory();
    makeDead(place.path, "a");
    makeDead(place.path, "b");
    makePersistent(place.path, "kept");
    const checks = await examine({}, [`--directory=${place.path}`]);
    expect(checks["left over"]).toMatchObject({ state: "ok", found: like(/^2 dead: harmless/) });
    expect(troubles(checks)).toEqual([]);
    expect(place.entries()).toContain("m-kept");
  });

  it("on a network file system, and where locks do nothing", async () => {
    using place = testDirectory();
    for (const [lie, found] of [["file system=26985", /is on NFS/], ["lock query=0", /locks do not work/]] as const) {
      const { access } = await examine({ QSHM_LIBRARY: TEST_LIBRARY, QSHM_PRETEND: lie }, [`--directory=${place.path}`]);
      expect(access).toMatchObject({ state: "broken", found: like(found), remedy: like(/^choose another/) });
    }
  });

  describe("as several users, and on file systems of its own", () => {
    const root = SKIPS.root !== undefined;

    /** A small file system at a path. */
    function mounted(options: string): Disposable & { path: string } {
      const path = mkdtempSync(`${tmpdir()}/qshm-doctor-`);
      execFileSync("mount", ["-t", "tmpfs", "-o", `mode=700,${options}`, "tmpfs", path]);
      return {
        path,
        [Symbol.dispose]() {
          execFileSync("umount", ["-l", path]);
          rmSync(path, { recursive: true });
        },
      };
    }

    it.skipIf(root)(because("that belongs to somebody else", SKIPS.root), async () => {
      using place = testDirectory();
      chownSync(place.path, 4711, 4711);
      const checks = await examine({}, [`--directory=${place.path}`]);
      expect(troubles(checks)).toEqual(["directory: broken"]);
      expect(checks.directory!.found).toMatch(/belongs to user 4711$/);
    });

    it.skipIf(root)(because("that may not be written to", SKIPS.root), async () => {
      using place = testDirectory();
      chmodSync(place.path, 0o755);
      const checks = await examine({}, [`--directory=${place.path}`], { uid: 65534, gid: 65534 });
      expect(checks.directory!.found).toMatch(/may not be written to: EACCES$/);
    });

    it.skipIf(root)(because("that is shared with a group", SKIPS.root), async () => {
      using place = testDirectory();
      chownSync(place.path, 0, 65534);
      chmodSync(place.path, 0o770);
      const checks = await examine({}, [`--directory=${place.path}`], { uid: 65534, gid: 65534 });
      expect(troubles(checks)).toEqual([]);
      expect(checks.directory!.found).toMatch(/mode 0770, shared with group 65534$/);
    });

    it.skipIf(root)(because("that is the default, made on first use", SKIPS.root), async () => {
      const uid = 47110;
      const path = `/dev/shm/qshm-${uid}`;
      rmSync(path, { recursive: true, force: true });
      try {
        const user = { uid, gid: uid };
        const fresh = await examine({ QSHM_DIRECTORY: "" }, [], user);
        expect(fresh.directory).toMatchObject({ state: "ok", found: `${path} (the default) is made on first use` });
        expect(fresh.trial).toMatchObject({ state: "ok" });
        chmodSync(path, 0o755);
        const open = await examine({ QSHM_DIRECTORY: undefined }, [], user);
        expect(open.directory).toMatchObject({ found: like(/is open to others \(mode 0755\)$/), remedy: `chmod 700 ${path}` });
        chmodSync(path, 0o700);
        chownSync(path, 4711, 4711);
        const taken = await examine({ QSHM_DIRECTORY: undefined }, [], user);
        expect(taken.directory).toMatchObject({ found: like(/belongs to user 4711$/), remedy: like(/^have user 4711 or root/) });
        rmSync(path, { recursive: true });
        symlinkSync("/tmp", path);
        const link = await examine({ QSHM_DIRECTORY: undefined }, [], user);
        expect(link.directory).toMatchObject({ found: like(/is a symbolic link$/), remedy: like(/: rm \/dev/) });
      } finally {
        rmSync(path, { recursive: true, force: true });
      }
    });

    it.skipIf(root)(because("on file systems that are small, full, or read-only", SKIPS.root), async () => {
      {
        using small = mounted("size=32m");
        const checks = await examine({}, [`--directory=${small.path}`]);
        expect(troubles(checks)).toEqual(["file system: warning"]);
        expect(checks["file system"]).toMatchObject({ found: like(/^tmpfs, 32 MiB free of 32 MiB/), remedy: like(/--shm-size/) });
      }
      {
        using full = mounted("size=128m");
        execFileSync("fallocate", ["-l", "134217728", `${full.path}/ballast`]);
        const checks = await examine({}, [`--directory=${full.path}`]);
        expect(troubles(checks)).toEqual(["file system: broken"]);
        expect(checks["file system"]).toMatchObject({ found: like(/^tmpfs, 0 bytes free of 128 MiB: it is full$/) });
      }
      {
        using crowded = mounted("size=128m,nr_inodes=2");
        writeFileSync(`${crowded.path}/last`, "");
        const checks = await examine({}, [`--directory=${crowded.path}`]);
        expect(checks["file system"]).toMatchObject({ state: "broken", found: like(/no room for another file$/) });
      }
      {
        using readOnly = mounted("size=128m,ro");
        const checks = await examine({}, [`--directory=${readOnly.path}`]);
        expect(troubles(checks)).toEqual(["directory: broken"]);
        expect(checks.directory!.found).toMatch(/is on a read-only file system$/);
      }
    });
  });
});

describe("qshm doctor on the container", () => {
  it.skipIf(SKIPS.root)(because("tells what those inside and outside see of each other", SKIPS.root), async () => {
    using place = testDirectory();
    const inside = ["--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", LAUNCHER, "doctor", "--json"];
    const stdout = execFileSync("unshare", inside, {
      env: environmentFor("bun", { QSHM_REQUIRE: undefined, QSHM_DIRECTORY: place.path }),
      encoding: "utf8",
    });
    const { ok, checks }: { ok: boolean; checks: Check[] } = JSON.parse(stdout);
    expect(ok).toBe(true);
    expect(checks.find(({ check }) => check === "container")!.found).toMatch(
      /^a PID namespace of its own .*, a user namespace of its own .*; it meets others only where they share \/dev\/shm /,
    );
  });
});

describe("qshm doctor on the environment", () => {
  it("tells the variables in force, and those that mean nothing", async () => {
    using place = testDirectory();
    const env = { QSHM_DIRECTORY: place.path, QSHM_DEBUG: "", QSHM_DIR: "x y" };
    const { environment } = await examine(env);
    expect(environment).toEqual({
      check: "environment",
      state: "warning",
      found: `QSHM_DEBUG='' QSHM_DIR='x y' QSHM_DIRECTORY=${place.path} QSHM_RUNTIME=bun`,
      remedy: "QSHM_DIR means nothing; known are QSHM_DIRECTORY, QSHM_LIBRARY, QSHM_RUNTIME, QSHM_DEBUG",
    });
  });

  it.each([["--jsn"], ["operand"]])("knows wrong usage: %s", async (arg) => {
    expect(await qshm("bun", ["doctor", arg])).toMatchObject({ code: 64, stdout: "" });
  });
});
