/** `qshm watch ... -- COMMAND`: a command at each change, never two at once. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { inspect, SharedMemory, SharedValue, SystemSemaphore } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { because, SKIPS } from "../support/skips.ts";
import { hand, hasEnded, program, script, start, until } from "./run/support.ts";
import { qshm } from "./support.ts";
import { openTerminal } from "./terminal.ts";

/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;

/** Tells that it runs, fails where another one runs, and ends when it reads a line. */
const TURN = ["sh", "-c", 'mkdir "$PLACE/running" && echo "$QSHM_KIND $QSHM_KEY $QSHM_REVISION" && read -r _; rmdir "$PLACE/running"'];

/** Sleeps it until its bell rings? */
async function heard(key: string, directory: string): Promise<void> {
  await until(() => inspect("memory", key, { directory })?.waiting === 1);
}

describe.each(RUNTIMES)("qshm watch -- COMMAND in %s", (runtime) => {
  it("runs it at each change; changes during a run cause exactly one more", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    using memory = SharedMemory.create("a key", 1, { directory: directory.path });
    const env = { QSHM_DIRECTORY: directory.path, PLACE: place.path };
    await using running = start(runtime, ["watch", "memory:a key", "--", ...TURN], { env });
    await heard("a key", directory.path);
    let revision = 0;
    for (const during of [0, 1, 5, 0]) {
      memory.notify();
      expect(await running.line()).toBe(`memory a key ${++revision}`);
      for (let i = 0; i < during; i++) memory.notify();
      running.say("");
      if (during > 0) {
        expect(await running.line()).toBe(`memory a key ${revision += during}`);
        running.say("");
      }
      await heard("a key", directory.path); // so it was the last one
    }
    process.kill(running.pid, "SIGTERM");
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(running.stderr).toBe("");
    expect(directory.entries()).toEqual(["m-a key"].map((name) => name.replace(" ", "%20")));
  });

  it("begins with a run with --initial, ends after --count runs, and takes no notice of how they end", async () => {
    using directory = testDirectory();
    using value = SharedValue.open("v", { directory: directory.path });
    value.set("x");
    const env = { QSHM_DIRECTORY: directory.path };
    await using running = start(runtime, ["watch", "--initial", "--count=2", "v", "--", "sh", "-c", "echo $QSHM_KIND $QSHM_REVISION; exit 3"], { env });
    expect(await running.line()).toBe("value 1");
    value.set("y");
    expect(await running.line()).toBe("value 2");
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(running.stderr).toBe("");
  });

  it("its arguments reach it byte for byte", async () => {
    using directory = testDirectory();
    using _memory = SharedMemory.create("a", 1, { directory: directory.path });
    const env = { QSHM_DIRECTORY: directory.path };
    const words = `'' ' ' 'two words' "it's" '"' '$HOME' '%s%%' '\\n' '-n' '--help' '--' '*' 'é日本' "$(printf 'line\\nend\\n.')" "$(printf 'tab\\t.')"`;
    for (const more of ["", `"$(printf '\\377\\001\\200')" "$(printf 'caf\\351.\\n.')"`]) {
      const show = `sh -c 'printf "<%s>" "$@"' sh`;
      const { lines, stderr } = await script(
        runtime,
        `${show} ${words} ${more} | od -An -tx1 -v; echo; "$QSHM" watch a --initial --count=1 -- ${show} ${words} ${more} | od -An -tx1 -v`,
        { env },
      );
      expect(stderr).toBe("");
      const [direct, watched] = lines.join("\n").split("\n\n");
      expect(direct!.length).toBeGreaterThan(100);
      expect(watched).toBe(direct);
    }
  });

  it("its environment has nothing more than what is promised, and its input and output are those of qshm", async () => {
    using directory = testDirectory();
    using _semaphore = SystemSemaphore.open("é'", { directory: directory.path });
    const env = { QSHM_DIRECTORY: directory.path, WEIRD: "a=b\n'é'" };
    const { lines, stderr } = await script(
      runtime,
      `env -0 | tr '\\n\\0' '\\001\\n' | sort >"$QSHM_DIRECTORY/direct"
       echo in | "$QSHM" watch "é'" --initial --count=1 -- sh -c 'cat; echo err >&2; env -0 | tr "\\n\\0" "\\001\\n" | sort >"$QSHM_DIRECTORY/watched"'
       diff "$QSHM_DIRECTORY/direct" "$QSHM_DIRECTORY/watched" | grep '^[<>]' | grep -v -e '^. _=' -e '^. OLDPWD='`,
      { env },
    );
    expect(stderr).toBe("err\n");
    expect(lines).toEqual(["in", "> QSHM_KEY=é'", "> QSHM_KIND=semaphore", "> QSHM_REVISION=0"]);
  });

  it.each(["SIGTERM", "SIGHUP", "SIGINT"] as const)("%s reaches it as well, and qshm ends with 0 once it has ended", async (signal) => {
    using directory = testDirectory();
    using place = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    const env = { QSHM_DIRECTORY: directory.path };
    const trap = `trap 'echo ${signal}; read -r _; echo end; exit 1' ${signal.slice(3)}; echo up $$; while :; do read -r _; done`;
    await using running = start(runtime, ["watch", "a", "--", "sh", "-c", trap], { env });
    await heard("a", directory.path);
    memory.notify();
    const pid = Number((await running.line()).split(" ")[1]);
    memory.notify(); // which would be the next run
    process.kill(running.pid, signal);
    running.say(""); // a shell looks at signals between two commands
    expect(await running.line()).toBe(signal);
    expect(hasEnded(running.pid)).toBe(false);
    running.say("");
    expect(await running.ended()).toEqual({ lines: ["end"], status: 0 });
    expect(hasEnded(pid)).toBe(true);
    expect(directory.entries()).toEqual(["m-a"]);
    expect(inspect("memory", "a", { directory: directory.path })?.attached).toHaveLength(1);
    expect(place.entries()).toEqual([]);
  });

  it("what it leaves behind does not keep the segment", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    const memory = SharedMemory.create("a", 1, { directory: directory.path });
    using held = hand(place.path);
    const env = { QSHM_DIRECTORY: directory.path, HAND: held.path };
    await using running = start(runtime, ["watch", "a", "--initial", "--count=1", "--", "sh", "-c", 'cat "$HAND" >/dev/null 2>&1 <&- & echo up'], { env });
    expect(await running.line()).toBe("up");
    await until(() => hasEnded(running.pid));
    memory.detach();
    expect(directory.entries()).toEqual([]);
    held.letGo();
    await running.ended();
  });

  it("127 for what is not there, 126 for what cannot be run", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    using _memory = SharedMemory.create("a", 1, { directory: directory.path });
    writeFileSync(`${place.path}/plain`, "exit 9\n", { mode: 0o644 });
    mkdirSync(`${place.path}/folder`);
    const run = (command: string) => qshm(runtime, ["watch", "a", "--initial", "--", command], { env: { QSHM_DIRECTORY: directory.path } });
    expect(await run("qshm-no-such-command")).toMatchObject({ code: 127, stdout: "", stderr: "qshm: qshm-no-such-command: command not found\n" });
    expect(await run(`${place.path}/nothing`)).toMatchObject({ code: 127, stdout: "", stderr: `qshm: ${place.path}/nothing: command not found\n` });
    for (const name of ["plain", "folder"]) {
      const { code, stderr } = await run(`${place.path}/${name}`);
      expect({ code, lines: stderr.match(/\n/g)?.length }).toEqual({ code: 126, lines: 1 });
      expect(stderr).toMatch(new RegExp(`^qshm: ${place.path}/${name}: `));
    }
    expect(directory.entries()).toEqual(["m-a"]);
  });

  it("SIGPIPE ends what it runs, as everywhere", async () => {
    using directory = testDirectory();
    using _memory = SharedMemory.create("a", 1, { directory: directory.path });
    const { lines, stderr } = await script(runtime, '"$QSHM" watch a --initial --count=1 -- sh -c "yes | head -n 1"', {
      env: { QSHM_DIRECTORY: directory.path },
    });
    expect({ lines, stderr }).toEqual({ lines: ["y"], stderr: "" });
  });

  it.skipIf(SKIPS.cc)(because("Ctrl-C in a terminal reaches it once, and ends both", SKIPS.cc), async () => {
    using directory = testDirectory();
    using _memory = SharedMemory.create("a", 1, { directory: directory.path });
    await using terminal = await openTerminal(runtime, directory.path);
    terminal.type('"$QSHM" watch a --initial -- "$PROGRAM" signals 2; echo "code $?"\n');
    const [, pid, parent, ttys, foreground] = await terminal.shows(/up (\d+) (\d+) (\d+) (\d)\r?\n/);
    terminal.running.remember(Number(pid), Number(parent));
    expect({ ttys, foreground }).toEqual({ ttys: "111", foreground: "1" });
    terminal.type("\x03");
    await terminal.shows(/got 02/);
    terminal.type("end\n");
    await terminal.shows(/code 0/);
    expect(terminal.all.match(/got 02/g)).toHaveLength(1);
  });
});

describe("qshm watch -- COMMAND", () => {
  it("prints nothing itself, and runs what is there at that time", async () => {
    using directory = testDirectory();
    using place = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    const env = { QSHM_DIRECTORY: directory.path, PLACE: place.path };
    await using running = start(ANY, ["watch", "a", "--", "touch", `${place.path}/ran`], { env });
    await heard("a", directory.path);
    memory.write(Uint8Array.of(1));
    await until(() => existsSync(`${place.path}/ran`));
    process.kill(running.pid, "SIGTERM");
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(readFileSync(`${place.path}/ran`, "utf8")).toBe("");
  });
});
