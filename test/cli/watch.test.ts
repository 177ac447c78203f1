/** `qshm watch`: each change as a line. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytes, type Codec, inspect, type Kind, remove, SharedMemory, SharedValue, SingleInstance, SystemSemaphore, utf8 } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { type Running, start, startScript, until } from "./run/support.ts";
import { makeCorrupt, makeDead, makeForeign, makePersistent } from "./segments.ts";
import { qshm } from "./support.ts";

/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;
const TIME = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{3}";

/** Waits until somebody sleeps until a bell tells of a change. */
async function heard(kind: Kind, key: string, directory: string): Promise<void> {
  await until(() => inspect(kind, key, { directory })?.waiting === 1);
}

/** The next line without the time. */
async function next(running: Running): Promise<string> {
  const line = await running.line();
  const found = new RegExp(`^${TIME} {2}(.*)$`).exec(line);
  expect(found, line).not.toBeNull();
  return found![1]!;
}

describe.each(RUNTIMES)("qshm watch in %s", (runtime) => {
  it("tells of each change of a memory, and sleeps in between until its bell rings", async () => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 100, { directory: directory.path });
    await using running = start(runtime, ["watch", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    for (let revision = 1; revision <= 5; revision++) {
      await heard("memory", "a", directory.path);
      memory.write(Uint8Array.of(revision));
      expect(await next(running)).toBe(`${revision}`);
    }
    await heard("memory", "a", directory.path);
    memory.notify();
    expect(await next(running)).toBe("6");
    running.child.kill("SIGTERM");
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(running.stderr).toBe("");
    expect(directory.entries()).toEqual(["m-a"]);
  });

  it("tells of each value that is set, whatever its codec", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const strange: Codec<string> = { name: "strange", encode: utf8.encode, decode: utf8.decode };
    const cases = [
      { value: SharedValue.open<unknown>("json", place), sets: [{ done: 3, of: 10 }, "two\nlines\x1b[31m"], shows: ['{"done":3,"of":10}', '"two\\nlines\\u001b[31m"'] },
      { value: SharedValue.open<unknown>("utf8", { ...place, codec: utf8 as Codec<unknown> }), sets: ["it's", ""], shows: ['"it\'s"', '""'] },
      { value: SharedValue.open<unknown>("bytes", { ...place, codec: bytes as Codec<unknown> }), sets: [new Uint8Array(2048), new Uint8Array(1)], shows: ["2 KiB", "1 byte"] },
      { value: SharedValue.open<unknown>("strange", { ...place, codec: strange as Codec<unknown> }), sets: ["abc"], shows: ["3 bytes"] },
    ];
    for (const { value, sets, shows } of cases) {
      await using running = start(runtime, ["watch", `value:${value.key}`, `--count=${sets.length}`], { env: { QSHM_DIRECTORY: directory.path } });
      for (const [i, set] of sets.entries()) {
        await heard("value", value.key, directory.path);
        value.set(set);
        expect(await next(running)).toBe(`${i + 1}  ${shows[i]}`);
      }
      expect(await running.ended()).toEqual({ lines: [], status: 0 });
      value.close();
    }
    expect(directory.entries()).toEqual([]);
  });

  it("tells of permits: released, taken though nobody announces it, and given back by a death", async () => {
    using directory = testDirectory();
    using semaphore = SystemSemaphore.open("s", { directory: directory.path, initial: 3, max: 9 });
    await using peer = await Peer.start(runtime, { directory: directory.path });
    await using running = start(runtime, ["watch", "s"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("semaphore", "s", directory.path);
    semaphore.release(2);
    expect(await next(running)).toBe("1  5 free");
    await peer.run(({ SystemSemaphore }, state) => {
      state.permit = SystemSemaphore.open("s").tryAcquire(4);
    });
    expect(await next(running)).toBe("1  1 free");
    await peer.kill();
    expect(await next(running)).toBe("1  5 free");
  });

  it("writes JSON whose keys stay the same", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using _memory = SharedMemory.create("m", 1, place);
    using _semaphore = SystemSemaphore.open("s", { ...place, initial: 2, max: 5 });
    using json = SharedValue.open("json", place);
    using raw = SharedValue.open("raw", { ...place, codec: bytes });
    json.set({ a: [1, null] });
    raw.set(Uint8Array.of(0, 255));
    const first = async (key: string): Promise<[string, unknown][]> => {
      const { stdout, stderr } = await qshm(runtime, ["watch", "--json", "--initial", "--count=1", key], { env: { QSHM_DIRECTORY: directory.path } });
      expect(stderr).toBe("");
      expect(stdout).toMatch(/^[^\n]*\n$/);
      return Object.entries(JSON.parse(stdout));
    };
    const time = ["time", expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)];
    expect(await first("m")).toEqual([time, ["kind", "memory"], ["key", "m"], ["revision", 0]]);
    expect(await first("s")).toEqual([time, ["kind", "semaphore"], ["key", "s"], ["revision", 0], ["available", 2], ["max", 5]]);
    expect(await first("json")).toEqual([
      time, ["kind", "value"], ["key", "json"], ["revision", 1], ["size", 14], ["codec", "json"], ["data", { a: [1, null] }], ["dataBase64", null],
    ]);
    expect(await first("raw")).toEqual([
      time, ["kind", "value"], ["key", "raw"], ["revision", 1], ["size", 2], ["codec", "bytes"], ["data", null], ["dataBase64", "AP8="],
    ]);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("ends with 0 at %s, and leaves nothing behind", async (signal) => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    await using running = start(runtime, ["watch", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "a", directory.path);
    process.kill(running.pid, signal);
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    expect(running.stderr).toBe("");
    expect(inspect("memory", "a", { directory: directory.path })?.attached).toHaveLength(1);
    expect(directory.entries()).toEqual(["m-a"]);
    memory.detach();
    using next = SharedMemory.create("a", 1, { directory: directory.path });
    expect(next.recovered).toBe(false);
  });

  it("ignores SIGHUP under nohup", async () => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    await using running = startScript(runtime, 'nohup "$QSHM" watch a 2>/dev/null | cat & wait', { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "a", directory.path);
    const pid = inspect("memory", "a", { directory: directory.path })!.attached.map(({ pid }) => pid).find((pid) => pid !== process.pid)!;
    process.kill(pid, "SIGHUP");
    memory.notify(); // behind it
    expect(await next(running)).toBe("1");
    await heard("memory", "a", directory.path);
    memory.notify();
    expect(await next(running)).toBe("2");
    process.kill(pid, "SIGTERM");
    await running.ended();
  });

  it("ends quietly when nobody reads on", async () => {
    using directory = testDirectory();
    using memory = SharedMemory.create("a", 1, { directory: directory.path });
    await using running = startScript(runtime, '{ "$QSHM" watch a; echo "code $?" >&2; } | head -n 1', { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "a", directory.path);
    memory.notify();
    await running.line();
    await until(() => {
      memory.notify(); // head may take its time to end
      return running.stderr !== "";
    });
    await running.ended();
    expect(running.stderr).toBe("code 0\n");
    expect(directory.entries()).toEqual(["m-a"]);
  });

  it(`ends at a signal also while a reader takes nothing${runtime === "deno" ? ", once it reads on" : ""}`, async () => {
    using directory = testDirectory();
    using value = SharedValue.open<string>("v", { directory: directory.path, codec: utf8, maxSize: 1 << 20 });
    await using running = start(runtime, ["watch", "--json", "v"], { env: { QSHM_DIRECTORY: directory.path } });
    running.child.stdout!.pause();
    await heard("value", "v", directory.path);
    value.set("x".repeat(1 << 20)); // more than a pipe takes
    await until(() => hasFilledPipe(running.pid));
    running.child.kill("SIGTERM");
    if (runtime === "deno") running.child.stdout!.resume(); // it writes on the thread of its event loop
    await until(() => running.child.exitCode !== null || running.child.signalCode !== null);
    expect(running.child.exitCode).toBe(0);
    expect(directory.entries()).toEqual(["v-v"]);
  });

  it("with --wait waits until there is something, and begins with that", async () => {
    using directory = testDirectory();
    await using running = start(runtime, ["watch", "--wait", "later", "--count=2"], { env: { QSHM_DIRECTORY: directory.path } });
    makeDead(directory.path, "other"); // what comes is not what is waited for
    using value = SharedValue.open<number>("later", { directory: directory.path });
    value.set(1);
    expect(await next(running)).toBe("1  1");
    value.set(2);
    expect(await next(running)).toBe("2  2");
    expect((await running.ended()).status).toBe(0);
  });
});

/** Has it written as much as a pipe takes, or does it wait to? */
function hasFilledPipe(pid: number): boolean {
  const written = Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))![1]);
  const isWriting = readdirSync(`/proc/${pid}/task`).some((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/syscall`, "utf8").startsWith("1 0x1 ");
    } catch {
      return false; // the thread has ended meanwhile
    }
  });
  return isWriting || written >= 65536;
}

/** Does it handle the signals that ask to end? */
function handlesSignals(pid: number): boolean {
  const caught = BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]}`);
  return [1, 2, 15].every((signal) => (caught >> BigInt(signal - 1) & 1n) !== 0n);
}

describe("qshm watch", () => {
  it("counts several changes as one, and never misses the last", async () => {
    using directory = testDirectory();
    using value = SharedValue.open<number>("v", { directory: directory.path });
    await using running = start(ANY, ["watch", "--json", "v"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("value", "v", directory.path);
    const last = 20_000;
    for (let i = 1; i <= last; i++) value.set(i);
    let lines = 0;
    for (let seen = 0; seen < last; lines++) {
      const { revision, data } = JSON.parse(await running.line());
      expect(data).toBe(revision);
      expect(revision).toBeGreaterThan(seen);
      seen = revision;
    }
    expect(lines).toBeLessThan(last);
  });

  it("begins with what is there with --initial, unless that is a value that was never set", async () => {
    using directory = testDirectory();
    using value = SharedValue.open<string>("v", { directory: directory.path });
    await using running = start(ANY, ["watch", "--initial", "v", "--count=1"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("value", "v", directory.path);
    value.set("first");
    expect(await next(running)).toBe('1  "first"');
    const again = await qshm(ANY, ["watch", "--initial", "v", "--count=1"], { env: { QSHM_DIRECTORY: directory.path } });
    expect(again.stdout).toMatch(/ {2}1 {2}"first"\n$/);
  });

  it("cuts long text, gives the size of what is too large or not what its codec says, and lets nothing out that moves a cursor", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const asJson: Codec<Uint8Array> = { name: "json", encode: bytes.encode, decode: bytes.decode };
    using value = SharedValue.open("v", { ...place, codec: asJson, maxSize: 1 << 21 });
    const show = async (contents: string | Uint8Array, ...options: string[]): Promise<string> => {
      value.set(typeof contents === "string" ? new TextEncoder().encode(contents) : contents);
      const { stdout } = await qshm(ANY, ["watch", "v", "--initial", "--count=1", ...options], { env: { QSHM_DIRECTORY: directory.path } });
      return stdout.trimEnd().split("  ").slice(2).join("  ") || stdout;
    };
    expect(await show(`"${"é".repeat(1000)}"`)).toBe(`"${"é".repeat(198)}…`);
    expect(await show('{"broken')).toBe("8 bytes");
    expect(await show(Uint8Array.of(0x22, 0xff, 0x22))).toBe("3 bytes");
    expect(await show("[".repeat(100_000) + "]".repeat(100_000))).toBe("195 KiB");
    expect(await show('"\u009b31m\u202e"')).toBe('"\\u009b31m\\u202e"');
    expect(await show(`"${"x".repeat((1 << 20) - 2)}"`)).toMatch(/^"x{198}…$|^"x{199}…$/);
    expect(await show(`"${"x".repeat((1 << 20) - 1)}"`)).toBe("1 MiB");
    expect(JSON.parse(await show(`"${"x".repeat((1 << 20) - 1)}"`, "--json"))).toMatchObject({ size: (1 << 20) + 1, data: null, dataBase64: null });
    expect(JSON.parse(await show('{"broken', "--json"))).toMatchObject({ codec: "json", data: null, dataBase64: "eyJicm9rZW4=" });
  });

  it("goes on watching when all others have gone, and the segment stays for those who come back", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    const memory = SharedMemory.create("a", 1, place);
    await using running = start(ANY, ["watch", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "a", directory.path);
    memory.detach();
    {
      using again = SharedMemory.attach("a", place);
      again.notify();
      expect(await next(running)).toBe("1");
    }
    running.child.kill("SIGTERM");
    expect((await running.ended()).status).toBe(0);
    expect(directory.entries()).toEqual([]);
  });

  it("watches what persists though nobody uses it", async () => {
    using directory = testDirectory();
    makePersistent(directory.path, "kept");
    await using running = start(ANY, ["watch", "kept"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "kept", directory.path);
    using memory = SharedMemory.attach("kept", { directory: directory.path });
    const { revision } = memory;
    memory.notify();
    expect(await next(running)).toBe(`${revision + 1}`);
  });

  it("ends with 69 when the segment is removed by force", async () => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using memory = SharedMemory.create("a", 1, place);
    await using running = start(ANY, ["watch", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    await heard("memory", "a", directory.path);
    remove("memory", "a", { ...place, force: true });
    expect(await running.ended()).toEqual({ lines: [], status: 69 });
    expect(running.stderr).toBe("qshm: memory:a was removed\n");
    expect(memory.read()).toHaveLength(1);
  });

  it("ends with --wait at a signal as well, and still refuses a guard", async () => {
    using directory = testDirectory();
    const env = { QSHM_DIRECTORY: directory.path };
    await using running = start(ANY, ["watch", "--wait", "a"], { env });
    await until(() => handlesSignals(running.pid));
    running.child.kill("SIGTERM");
    expect(await running.ended()).toEqual({ lines: [], status: 0 });
    using _guard = await SingleInstance.acquire("a", { directory: directory.path });
    expect((await qshm(ANY, ["watch", "--wait", "a"], { env })).code).toBe(64);
  });

  it.each([
    ["dead", makeDead],
    ["foreign", makeForeign],
    ["corrupt", makeCorrupt],
  ])("leaves what is %s as it is: 69", async (state, make) => {
    using directory = testDirectory();
    const path = make(directory.path, "a");
    const before = readFileSync(path);
    const { code, stdout, stderr } = await qshm(ANY, ["watch", "a"], { env: { QSHM_DIRECTORY: directory.path } });
    expect({ code, stdout, stderr }).toEqual({ code: 69, stdout: "", stderr: `qshm: memory:a cannot be watched: it is ${state}\n` });
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  it.each([
    [["nothing"], 69, "there is no nothing; qshm list shows what there is"],
    [["value:nothing"], 69, "there is no value:nothing; qshm list shows what there is"],
    [["guard"], 64, "instance:guard is a guard, which does not change: see qshm status, or qshm run --wait"],
    [["both"], 64, "several are named both, say which: memory:both, value:both"],
    [[], 64, "[KIND:]KEY is missing"],
    [["--", "echo"], 64, "[KIND:]KEY is missing"],
    [["both", "echo"], 64, 'unexpected argument "echo"'],
    [["both", "--"], 64, 'COMMAND is missing behind "--"'],
    [["both", "--json", "--", "echo"], 64, "--json does not go with COMMAND"],
    [["both", "--count=0"], 64, '--count must be 1 or more: got "0"'],
    [["both", "--count=-1"], 64, '--count must be 1 or more: got "-1"'],
    [["both", "--count=1.5"], 64, '--count must be 1 or more: got "1.5"'],
    [["both", "--count="], 64, '--count must be 1 or more: got ""'],
    [["--initail", "both"], 64, "Unknown option '--initail'"],
  ])("%j: exit %i", async (args, code, message) => {
    using directory = testDirectory();
    const place = { directory: directory.path };
    using _guard = await SingleInstance.acquire("guard", place);
    using _memory = SharedMemory.create("both", 1, place);
    using _value = SharedValue.open("both", place);
    const result = await qshm(ANY, ["watch", ...args], { env: { QSHM_DIRECTORY: directory.path } });
    expect(result).toMatchObject({ code, stdout: "" });
    expect(result.stderr).toBe(`qshm: ${message}\n${code === 64 ? "qshm: see qshm --help\n" : ""}`);
  });

  it("says how to use it", async () => {
    for (const args of [["watch", "--help"], ["watch", "a", "--help"], ["watch", "--help", "--", "echo"]]) {
      expect(await qshm(ANY, args)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: qshm watch /), stderr: "" });
    }
    expect((await qshm(ANY, ["--help"])).stdout).toMatch(/^ {2}watch {3}/m);
  });
});
