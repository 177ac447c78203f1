/** The checks of `qshm doctor` on systems that this one is not. */

import { describe, expect, it } from "vitest";
import { checkContainer } from "../../src/cli/doctor/container.ts";
import { checkOpenFiles, describeRuntime } from "../../src/cli/doctor/host.ts";
import { checkLogout } from "../../src/cli/doctor/logout.ts";
import { checkDirectory, checkFileSystem } from "../../src/cli/doctor/place.ts";
import type { Look, System } from "../../src/cli/doctor/system.ts";
import { libcOf, tierOf } from "../../src/cli/doctor/tier.ts";

const like = (pattern: RegExp): unknown => expect.stringMatching(pattern);
const HOME = "/dev/shm/qshm-1000";

/** A system of these files; names that end in `/` are directories. */
function pretend(files: Readonly<Record<string, string>>, others: Partial<System> = {}): System {
  const owned = { mode: 0o700, uid: 1000, gid: 1000 };
  return {
    uid: 1000,
    groups: [1000],
    environment: {},
    read: (path) => files[path],
    names: (path) =>
      Object.keys(files).filter((file) => file.startsWith(`${path}/`)).map((file) => file.slice(path.length + 1)).reverse(),
    target: (path) => files[path],
    resolve: (path) => path,
    look(path): Look {
      if (`${path}/` in files) return { type: "directory", ...owned };
      return path in files ? { type: "file", ...owned } : { type: "error", code: "ENOENT" };
    },
    writable: () => true,
    space: () => ({ total: 2 ** 33, free: 2 ** 32, filesExhausted: false }),
    ...others,
  };
}

describe("the check of RemoveIPC", () => {
  const SYSTEMD = { "/run/systemd/system/": "" };
  const etc = (text: string) => ({ "/etc/systemd/logind.conf": text });
  const dropIn = (directory: string, name: string, value: string) => ({
    [`${directory}/systemd/logind.conf.d/${name}`]: `[Login]\nRemoveIPC=${value}\n`,
  });
  const vendor = (text: string) => ({ "/usr/lib/systemd/logind.conf": text });
  const users = { "/etc/passwd": "root:x:0:0::/:\njo:x:1000:1000::/:\n" };

  it.each<[string, Record<string, string>, string]>([
    ["no systemd", {}, "ok"],
    ["systemd, nothing configured", SYSTEMD, "warning"],
    ["commented out", { ...SYSTEMD, ...etc("[Login]\n#RemoveIPC=no\n") }, "warning"],
    ["switched off", { ...SYSTEMD, ...etc("[Login]\n RemoveIPC = no \n") }, "ok"],
    ["in another section", { ...SYSTEMD, ...etc("[Other]\nRemoveIPC=no\n") }, "warning"],
    ["the last word counts", { ...SYSTEMD, ...etc("[Login]\nRemoveIPC=off\nRemoveIPC=1\n") }, "warning"],
    ["a word that means nothing", { ...SYSTEMD, ...etc("[Login]\nRemoveIPC=no\nRemoveIPC=perhaps\n") }, "ok"],
    ["a drop-in overrides", { ...SYSTEMD, ...etc("[Login]\nRemoveIPC=yes\n"), ...dropIn("/etc", "a.conf", "0") }, "ok"],
    ["drop-ins by their names", { ...SYSTEMD, ...dropIn("/usr/lib", "20.conf", "yes"), ...dropIn("/etc", "10.conf", "no") }, "warning"],
    ["/etc hides its namesake", { ...SYSTEMD, ...dropIn("/usr/lib", "a.conf", "yes"), ...dropIn("/etc", "a.conf", "no") }, "ok"],
    ["no drop-in by its name", { ...SYSTEMD, ...dropIn("/etc", "a.conf.bak", "no") }, "warning"],
    ["the distribution's file", { ...SYSTEMD, ...vendor("[Login]\nRemoveIPC=false\n") }, "ok"],
    ["/etc hides the distribution's file", { ...SYSTEMD, ...etc(""), ...vendor("[Login]\nRemoveIPC=no\n") }, "warning"],
    ["the user lingers", { ...SYSTEMD, ...users, "/var/lib/systemd/linger/jo": "" }, "ok"],
    ["another lingers", { ...SYSTEMD, ...users, "/var/lib/systemd/linger/al": "" }, "warning"],
    ["system users reach further", { ...SYSTEMD, "/etc/login.defs": "# SYS_UID_MAX 1\nSYS_UID_MAX\t 1000\n" }, "ok"],
  ])("%s", (_, files, state) => {
    const finding = checkLogout(pretend(files), HOME);
    expect(finding.state).toBe(state);
    if (state === "warning") expect(finding.remedy).toMatch(/enable-linger.*RemoveIPC=no.*--directory/);
  });

  it("does not concern root, nor other directories", () => {
    expect(checkLogout(pretend(SYSTEMD, { uid: 0 }), HOME).state).toBe("ok");
    expect(checkLogout(pretend(SYSTEMD, { uid: 999 }), HOME).state).toBe("ok");
    expect(checkLogout(pretend(SYSTEMD), "/home/jo/segments").state).toBe("ok");
    expect(checkLogout(pretend(SYSTEMD, { resolve: () => "/dev/shm/x" }), "/home/jo/link").state).toBe("warning");
  });
});

describe("the check of the file system", () => {
  const mounts = (text: string) => pretend({ "/proc/self/mountinfo": text });
  const at = (path: string) => ({ path, chosenBy: "--directory" }) as const;
  const LINES = [
    "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
    "2 1 0:2 / /home rw shared:1 - nfs4 server:/home rw",
    "3 1 0:3 / /home/jo/local\\040disk rw - xfs /dev/sdb rw",
    "4 1 0:4 / /mnt rw - fuse.sshfs jo@there: rw",
    "5 1 0:5 / /mnt rw - btrfs /dev/sdc rw",
  ].join("\n");

  it.each([
    ["/tmp", "ok", /^ext4, /],
    ["/homes", "ok", /^ext4, /],
    ["/home", "broken", /^nfs4, /],
    ["/home/jo", "broken", /^nfs4, where locks or mappings do not hold$/],
    ["/home/jo/local disk/qshm", "ok", /^xfs, 4 GiB free of 8 GiB$/],
    ["/mnt/a", "ok", /^btrfs, /],
  ])("%s: %s", (path, state, found) => {
    expect(checkFileSystem(mounts(LINES), at(path))).toMatchObject({ state, found: like(found) });
  });

  it.each(["nfs", "cifs", "smb3", "9p", "fuse", "fuse.sshfs", "ceph", "virtiofs"])("refuses %s", (type) => {
    expect(checkFileSystem(mounts(`1 0 8:1 / / rw - ${type} x rw`), at("/a"))?.state).toBe("broken");
  });

  it("copes with what cannot be read", () => {
    const spaceless = pretend({}, { space: () => undefined });
    expect(checkFileSystem(spaceless, at("/a"))).toMatchObject({ state: "ok", found: "of a type that is not known" });
    expect(checkFileSystem(pretend({}, { resolve: () => undefined }), at("/a"))).toBeUndefined();
  });
});

describe("the check of the directory", () => {
  const here = { path: HOME, chosenBy: "default" } as const;

  it("tells where the default cannot be made", () => {
    expect(checkDirectory(pretend({}), here)).toMatchObject({ state: "broken", found: like(/there is no \/dev\/shm$/) });
    expect(checkDirectory(pretend({ "/dev/shm/": "" }), here)).toMatchObject({ state: "ok" });
    expect(checkDirectory(pretend({ "/dev/shm/": "" }, { writable: () => "EROFS" }), here)).toMatchObject({
      state: "broken",
      found: like(/\/dev\/shm is on a read-only file system$/),
    });
  });

  it("leaves it to the library to give the default directory its bits back", () => {
    expect(checkDirectory(pretend({ [`${HOME}/`]: "" }, { writable: () => "EACCES" }), here).state).toBe("ok");
    expect(checkDirectory(pretend({ [`${HOME}/`]: "" }, { writable: () => "EROFS" }), here).state).toBe("broken");
  });
});

describe("the checks of the host", () => {
  it("tells whether Node was started with a flag that programs need as well", () => {
    const flagged = describeRuntime("node", "26.5.1", ["--experimental-ffi"]);
    expect(flagged).toMatchObject({ state: "warning", remedy: like(/flag/) });
    expect(describeRuntime("node", "26.10.0", [])).toMatchObject({ state: "ok" });
    expect(describeRuntime("bun", "1.4.5", [])).toEqual({ check: "runtime", state: "ok", found: "bun 1.4.5" });
  });

  it.each([
    ["Max open files            1024                 4096                 files", "ok"],
    ["Max open files            unlimited            unlimited            files", "ok"],
    ["Max open files            64                   64                   files", "warning"],
    ["", "ok"],
  ])("open files: %s", (limits, state) => {
    expect(checkOpenFiles(pretend({ "/proc/self/limits": `Limit\n${limits}\n` })).state).toBe(state);
  });
});

describe("the check of the container", () => {
  const namespaces = (pid: string, user: string) => pretend({ "/proc/self/ns/pid": pid, "/proc/self/ns/user": user });
  const MACHINE = ["pid:[4026531836]", "user:[4026531837]"] as const;

  it.each([
    [...MACHINE, HOME, /^none: /],
    ["pid:[4026532001]", MACHINE[1], HOME, /^a PID namespace of its own \([^)]*\); .*--ipc=host/],
    [MACHINE[0], "user:[4026532002]", HOME, /^a user namespace of its own \([^)]*\); .*--ipc=host/],
    ["pid:[4026532001]", "user:[4026532002]", "/volume", /^a PID .*, a user .*; .*the same volume/],
  ])("%s %s %s", (pid, user, path, found) => {
    expect(checkContainer(namespaces(pid, user), path)).toMatchObject({ state: "ok", found: like(found) });
  });

  it("copes with what cannot be read", () => {
    expect(checkContainer(pretend({}), HOME)).toMatchObject({ state: "ok", found: "not known" });
  });
});

describe("the platform's tier", () => {
  const maps = (...files: string[]) =>
    pretend({ "/proc/self/maps": files.map((file) => `7f00-7f01 r-xp 0 08:01 1      ${file}\n`).join("") });

  it.each([
    ["/usr/lib/x86_64-linux-gnu/libc.so.6", "glibc"],
    ["/lib/libc-2.28.so", "glibc"],
    ["/lib/ld-musl-x86_64.so.1", "musl"],
    ["/usr/lib/x86_64-linux-musl/libc.so", "musl"],
    ["/usr/lib/libcrypt.so.1", "an unknown libc"],
  ])("%s is of %s", (file, libc) => expect(libcOf(maps("/usr/bin/x", file, "/usr/lib/libz.so.1"))).toBe(libc));

  it.each([
    ["linux-x64", "glibc", "deno", /^run: the whole/],
    ["linux-x64", "musl", "bun", /^run: the behaviour/],
    ["linux-x64", "musl", "node", /^only compiled/],
    ["linux-x64", "an unknown libc", "node", /^only compiled/],
    ["linux-arm64", "glibc", "node", /^built, and run under emulation$/],
    ["linux-arm64", "musl", "bun", /^only compiled/],
  ] as const)("%s, %s, %s", (platform, libc, runtime, tier) => {
    expect(tierOf({ platform, libc, runtime })).toMatch(tier);
  });
});
