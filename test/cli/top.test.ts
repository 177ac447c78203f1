/** `qshm top`: all segments, live, in a terminal and elsewhere. */

import { execFileSync } from "node:child_process";
import { chmodSync, readdirSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { list, SharedMemory, SharedValue, SingleInstance, SystemSemaphore } from "../../mod.ts";
import { fittingLines, lines } from "../../src/cli/top/view.ts";
import { width } from "../../src/cli/table.ts";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { hasEnded, start, startScript, until } from "./run/support.ts";
import { makeCorrupt, makeDead, makeDeadGuard, makeForeign, makePersistent } from "./segments.ts";
import { qshm } from "./support.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

const pid = process.pid;
/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;
const TITLE = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (\d+ segments?) in (.*)$/;
const cells = (line: string): string[] => line.split(/ {2,}/);

describe.each(RUNTIMES)("qshm top in %s, not on a terminal", (runtime) => {
  it("prints one table after the other, and changes nothing", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("m", 5000, place);
    using _lock = memory.lockSync();
    using value = SharedValue.open<string>("v", place);
    using _unset = SharedValue.open("unset", place);
    using semaphore = SystemSemaphore.open("s", { ...place, initial: 3 });
    using _permit = semaphore.tryAcquire();
    using _guard = await SingleInstance.acquire("g", place);
    value.set("abc");
    makeDead(directory.path, "dead");
    await makeDeadGuard(directory.path, "dead");
    makePersistent(directory.path, "kept");
    makeForeign(directory.path, "foreign");
    makeCorrupt(directory.path, "corrupt");
    const before = directory.entries();
    await using running = start(runtime, ["top", "--count=3", "--interval=0.1"], { env: { QSHM_DIRECTORY: directory.path } });
    for (let look = 0; look < 3; look++) {
      const title = TITLE.exec(await running.line())!;
      expect(title.slice(1)).toEqual(["10 segments", directory.path]);
      const rows: string[][] = [];
      for (let line = await running.line(); line !== ""; line = await running.line()) rows.push(cells(line));
      const none = look === 0 ? "-" : "0";
      expect(rows).toEqual([
        ["KIND", "KEY", "SIZE", "ATTACHED", "LOCK", "WAITING", "CHANGES/S", "NOW"],
        ["instance", "g", "-", `1: ${pid}`, "-", "-", none, "-"],
        ["memory", "m", "4.88 KiB", `1: ${pid}`, `${pid}`, "-", none, "-"],
        ["semaphore", "s", "-", `1: ${pid}`, "-", "-", none, "2 of 3 free"],
        ["value", "unset", "256 KiB", `1: ${pid}`, "-", "-", none, "never set"],
        ["value", "v", "256 KiB", `1: ${pid}`, "-", "-", none, "json, 5 bytes"],
        ["instance", "dead", "-", "-", "-", "-", none, "dead"],
        ["memory", "corrupt", "-", "-", "-", "-", none, "corrupt"],
        ["memory", "dead", "10 bytes", "-", "-", "-", none, "dead"],
        ["memory", "foreign", "-", "-", "-", "-", none, "foreign"],
        ["memory", "kept", "10 bytes", "-", "-", "-", none, "dead, persistent"],
      ]);
    }
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(running.stderr).toBe("");
    expect(directory.entries()).toEqual(before);
  });

  it("counts changes, and those who wait; as JSON one object for each look", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("m", 1, place);
    using other = SharedMemory.attach("m", place);
    const waiting = other.waitForChange(other.revision, { signal: AbortSignal.timeout(60_000) });
    const env = { QSHM_DIRECTORY: directory.path };
    await using running = start(runtime, ["top", "--json", "--interval=0.1"], { env });
    const look = async () => JSON.parse(await running.line());
    const first = await look();
    expect(Object.keys(first)).toEqual(["time", "segments"]);
    expect(first.segments).toHaveLength(1);
    expect(Object.entries(first.segments[0])).toEqual([
      ["kind", "memory"], ["key", "m"], ["path", memory.path], ["size", 1], ["persistent", false], ["state", "live"],
      ["attached", [expect.objectContaining({ pid }), expect.objectContaining({ pid })]], ["lockOwner", null],
      ["revision", 0], ["waiting", 1], ["changesPerSecond", null],
    ]);
    for (let i = 0; i < 1000; i++) memory.notify();
    await waiting;
    let seen = first.segments[0];
    let rate = 0;
    for (let time = Date.parse(first.time); seen.revision < 1000;) {
      const next = await look();
      const seconds = (Date.parse(next.time) - time) / 1000;
      time = Date.parse(next.time);
      rate = next.segments[0].changesPerSecond;
      // Both clocks are read a moment after each other.
      expect(rate).toBeGreaterThanOrEqual((next.segments[0].revision - seen.revision) / (seconds + 0.5));
      seen = next.segments[0];
    }
    expect(rate).toBeGreaterThan(0);
    expect(seen.waiting).toBe(0);
    process.kill(running.pid, "SIGTERM");
    expect((await running.ended()).status).toBe(0);
    expect(running.stderr).toBe("");
  });

  it("ends quietly when nobody reads on", async () => {
    using directory = testDirectory();
    await using running = startScript(runtime, '{ "$QSHM" top --interval=0.1; echo "code $?" >&2; } | head -n 1', { env: { QSHM_DIRECTORY: directory.path } });
    expect(TITLE.exec(await running.line())?.[1]).toBe("0 segments");
    await running.ended();
    expect(running.stderr).toBe("code 0\n");
  });
});

describe("qshm top", () => {
  it("does not count those who were killed while they waited", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("m", 1, place);
    using semaphore = SystemSemaphore.open("s", { ...place, initial: 0 });
    await using peer = await Peer.start(ANY, place);
    await peer.run(({ SharedMemory, SystemSemaphore }, state) => {
      const memory = SharedMemory.attach("m");
      state.waiting = [memory.waitForChange(memory.revision), SystemSemaphore.open("s").acquire()];
    });
    const look = async () => JSON.parse((await qshm(ANY, ["top", "--json", "--count=1"], { env: { QSHM_DIRECTORY: directory.path } })).stdout);
    expect((await look()).segments).toMatchObject([{ kind: "memory", waiting: 1 }, { kind: "semaphore", semaphore: { queued: 1 } }]);
    await peer.kill();
    expect((await look()).segments).toMatchObject([{ kind: "memory", waiting: 0 }, { kind: "semaphore", semaphore: { queued: 0 } }]);
    expect(memory.revision + semaphore.available).toBe(0);
  });

  it("says 1 segment, and tells one that was made anew from one that changed", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    let memory = SharedMemory.create("m", 1, place);
    for (let i = 0; i < 100; i++) memory.notify();
    await using running = start(ANY, ["top", "--json", "--interval=0.1"], { env: { QSHM_DIRECTORY: directory.path } });
    await running.line();
    memory.detach();
    memory = SharedMemory.create("m", 1, place);
    for (;;) {
      const [segment] = JSON.parse(await running.line()).segments;
      if (segment?.revision !== 0) continue;
      expect(segment.changesPerSecond).toBeNull();
      break;
    }
    memory.detach();
  });

  it.each([
    [["a"], 64, 'unexpected argument "a"'],
    [["--interval=0"], 64, "--interval must be 0.1 to 86400: got 0"],
    [["--interval=0.05"], 64, "--interval must be 0.1 to 86400: got 0.05"],
    [["--interval=1e3"], 64, '--interval must be a number of seconds: got "1e3"'],
    [["--interval=-1"], 64, '--interval must be a number of seconds: got "-1"'],
    [["--interval=100000"], 64, "--interval must be 0.1 to 86400: got 100000"],
    [["--count=0"], 64, '--count must be 1 or more: got "0"'],
    [["--cuont=1"], 64, "Unknown option '--cuont'"],
  ])("%j: exit %i", async (args, code, message) => {
    using directory = testDirectory();
    const result = await qshm(ANY, ["top", ...args], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code, stdout: "", stderr: `qshm: ${message}\nqshm: see qshm --help\n` });
  });

  it("ends with 77 in a directory that is open to others", async () => {
    using directory = testDirectory();
    chmodSync(directory.path, 0o777);
    const result = await qshm(ANY, ["top"], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code: 77, stdout: "", stderr: expect.stringMatching(/^qshm: [^\n]*open to others[^\n]*\n$/) });
  });

  it("says how to use it", async () => {
    expect(await qshm(ANY, ["top", "--help"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: qshm top /), stderr: "" });
    expect((await qshm(ANY, ["--help"])).stdout).toMatch(/^ {2}top {5}/m);
  });
});

describe("the table", () => {
  const HOSTILE = ["\x1b[2J\x1b]0;title\x07", "\x9b31m", "a\nb\tc", "\u202eright", "\u{e0041}tag", "日本語の鍵", "e\u0301".repeat(40), "long ".repeat(100)];

  function sampled(keys: readonly string[], f: (all: { info: ReturnType<typeof list>[number]; rate: number | undefined }[]) => void): void {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const memories = keys.map((key) => SharedMemory.create(key, 1, place));
    const all = list(place).map((info, i) => ({ info, rate: [undefined, 0, 0.04, 0.25, 9.96, 1234.5][i % 6] }));
    memories.forEach((memory) => memory.detach());
    f(all);
  }

  it("lets no key break the lines or the terminal", () => {
    sampled(HOSTILE, (all) => {
      const rows = lines(all);
      expect(rows).toHaveLength(HOSTILE.length + 1);
      expect(rows.join("")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      expect(rows.slice(1).map((row) => row.startsWith("memory  "))).toEqual(HOSTILE.map(() => true));
    });
  });

  it("never takes more lines or columns than there are, and says how many segments are missing", () => {
    sampled([...HOSTILE, ...Array.from({ length: 30 }, (_, i) => `key ${i}`)], (all) => {
      for (const columns of [0, 1, 2, 10, 40, 79, 80, 81, 300]) {
        for (const rows of [0, 1, 2, 3, 4, 10, 24, 39, 40, 41, 100]) {
          const shown = fittingLines("the title of it", all, { columns, rows });
          expect(shown.length).toBeLessThanOrEqual(rows);
          for (const line of shown) expect(width(line), `${columns}x${rows}: ${line}`).toBeLessThanOrEqual(columns);
          const listed = shown.filter((line) => line.startsWith("memory")).length;
          if (columns < 40 || rows < 3) continue;
          if (rows >= 40) expect(listed).toBe(38);
          else expect(shown.at(-1)).toBe(`… and ${38 - listed} more`);
        }
      }
      expect(fittingLines("t", all, { columns: 0, rows: 0 })).toEqual([]);
    });
  });

  it("cuts the key before anything else", () => {
    sampled(["long ".repeat(100), "short"], (all) => {
      const [, header, row] = fittingLines("", all, { columns: 100, rows: 10 });
      expect(header).toMatch(/^KIND {4}KEY .* NOW$/);
      expect(row).toMatch(/^memory {2}'long .*… {2}1 byte {2}1: \d+ /);
      expect(width(row!)).toBeLessThanOrEqual(100);
    });
  });

  it("rounds rates", () => {
    sampled(["1", "2", "3", "4", "5", "6"], (all) => {
      expect(lines(all).slice(1).map((row) => cells(row)[6])).toEqual(["-", "0", "0", "0.3", "10", "1235"]);
    });
  });
});

describe.each(RUNTIMES)("qshm top in %s, on a terminal", (runtime) => {
  const ENTER = /\x1b\[\?1049h/;
  const LEAVE = /\x1b\[\?1049l/;

  /** Runs it, with the terminal's settings before and behind it. */
  async function open(directory: string, how = "--interval=0.1"): Promise<Terminal> {
    const terminal = await openTerminal(runtime, directory);
    terminal.type(`stty rows 24 cols 100; stty -a; "$QSHM" top ${how}; echo "code $?"; stty -a\n`);
    return terminal;
  }

  /** It has ended with this code, and the terminal is as it was. */
  async function isRestored(terminal: Terminal, code: number): Promise<void> {
    await terminal.shows(new RegExp(`code ${code}\\r?\\n`));
    await terminal.shows(/\[ready\]/);
    const settings = [...terminal.all.matchAll(/^speed [^]*?(?= ?-?xcase| -?extproc).*$/gm)].map(([text]) => text.replaceAll(/\s+/g, " "));
    expect(settings).toHaveLength(2);
    expect(settings[0]).toMatch(/ icanon .* echo /);
    expect(settings[1]).toBe(settings[0]);
    expect(terminal.all.match(/\x1b\[\?25l/g)?.length).toBe(terminal.all.match(/\x1b\[\?25h/g)?.length);
    expect(terminal.all.match(/\x1b\[\?7l/g)?.length).toBe(terminal.all.match(/\x1b\[\?7h/g)?.length);
    expect(terminal.all.match(/\x1b\[\?1049h/g)?.length).toBe(terminal.all.match(/\x1b\[\?1049l/g)?.length);
    expect(terminal.all.lastIndexOf("\x1b[?1049l")).toBeGreaterThan(terminal.all.lastIndexOf("\x1b[H"));
  }

  /** The process in the terminal's foreground that has this directory's command. */
  function topPid(terminal: Terminal): number {
    const children = (pid: number): number[] =>
      execFileSync("ps", ["--ppid", `${pid}`, "-o", "pid="], { encoding: "utf8" }).trim().split(/\s+/).map(Number);
    const [shell] = children(terminal.running.pid);
    return children(shell!)[0]!;
  }

  it.skipIf(SKIPS.cc)(because("shows what is there, again and again; q leaves", SKIPS.cc), async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("\x1b[31mred", 1, place);
    await using terminal = await open(directory.path);
    await terminal.shows(ENTER);
    await terminal.shows(/1 segment in .*; q ends/);
    await terminal.shows(/memory {2}\$'\\u001b\[31mred'/);
    using _value = SharedValue.open("new one", place);
    await terminal.shows(/2 segments in /);
    await terminal.shows(/value {3}'new one' /);
    memory.notify();
    terminal.type("x\x1b[Aq");
    await terminal.shows(LEAVE);
    await isRestored(terminal, 0);
    expect(terminal.all).not.toContain("\x1b[31m");
  });

  it.skipIf(SKIPS.cc)(because("Ctrl-C leaves", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await open(directory.path);
    await terminal.shows(/0 segments in /);
    terminal.type("\x03");
    await terminal.shows(LEAVE);
    await isRestored(terminal, 0);
  });

  it.skipIf(SKIPS.cc).each(["SIGTERM", "SIGHUP", "SIGINT"] as const)(because("%s leaves", SKIPS.cc), async (signal) => {
    using directory = testDirectory();
    await using terminal = await open(directory.path);
    await terminal.shows(/0 segments in /);
    process.kill(topPid(terminal), signal);
    await terminal.shows(LEAVE);
    await isRestored(terminal, 0);
  });

  it.skipIf(SKIPS.cc)(because("an error leaves, and is told behind that", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await open(directory.path);
    await terminal.shows(/0 segments in /);
    chmodSync(directory.path, 0o777);
    await terminal.shows(LEAVE);
    await terminal.shows(/qshm: .*open to others/);
    await isRestored(terminal, 77);
  });

  it.skipIf(SKIPS.cc)(because("--count leaves by itself", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await open(directory.path, "--count=2 --interval=0.1");
    await terminal.shows(ENTER);
    await isRestored(terminal, 0);
    expect(terminal.all.match(/0 segments in /g)).toHaveLength(2);
  });

  it.skipIf(SKIPS.cc)(because("--json takes no screen", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await open(directory.path, "--json --count=1");
    await terminal.shows(/"segments":\[\]\}/);
    await terminal.shows(/code 0/);
    expect(terminal.all).not.toMatch(ENTER);
  });

  it.skipIf(SKIPS.cc)(because("draws anew at once when the terminal's size changes", SKIPS.cc), async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const memories = Array.from({ length: 30 }, (_, i) => SharedMemory.create(`key ${i}`, 1, place));
    await using terminal = await open(directory.path, "--interval=3600");
    await terminal.shows(/… and 9 more/);
    const tty = readlinkSync(`/proc/${topPid(terminal)}/fd/0`);
    execFileSync("stty", ["-F", tty, "rows", "10", "cols", "30"]);
    // Rows and columns come one after the other.
    const [frame] = await terminal.shows(/\x1b\[H\x1b\[K\S+ \S+  30 segme…[^]*?… and 23 more/);
    for (const line of frame.replaceAll(/\x1b\[[KH]/g, "").split(/\r+\n/)) expect(width(line), line).toBeLessThanOrEqual(30);
    terminal.type("q");
    await terminal.shows(LEAVE);
    await terminal.shows(/code 0/);
    memories.forEach((memory) => memory.detach());
  });

  it.skipIf(SKIPS.cc)(because("Ctrl-Z gives the shell its terminal back, and fg goes on", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await openTerminal(runtime, directory.path);
    terminal.type('"$QSHM" top --interval=0.1\n');
    await terminal.shows(/0 segments in /);
    const pid = topPid(terminal);
    terminal.running.remember(pid);
    terminal.type("\x1a");
    await terminal.shows(LEAVE);
    await terminal.shows(/\[ready\]/);
    terminal.type("stty -a; echo between\n");
    await terminal.shows(/ icanon [^]* echo [^]*\nbetween/);
    terminal.type("fg\n");
    await terminal.shows(ENTER);
    await terminal.shows(/0 segments in /);
    terminal.type("q");
    await terminal.shows(LEAVE);
    await terminal.shows(/\[ready\]/);
    expect(hasEnded(pid)).toBe(true);
    terminal.type("stty -a; echo behind\n");
    await terminal.shows(/ icanon [^]* echo [^]*\nbehind/);
  });

  it.skipIf(SKIPS.cc)(because("leaves nothing running when the terminal is closed", SKIPS.cc), async () => {
    using directory = testDirectory();
    await using terminal = await open(directory.path);
    await terminal.shows(/0 segments in /);
    const pid = topPid(terminal);
    terminal.running.remember(pid);
    terminal.running.child.stdin!.end();
    await until(() => hasEnded(pid));
    expect(readdirSync(directory.path)).toEqual([]);
  });
});
