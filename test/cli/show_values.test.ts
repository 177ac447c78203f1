/** `qshm show` of values and semaphores. */

import { once } from "node:events";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bytes, type Codec, SharedValue, SystemSemaphore, utf8 } from "../../mod.ts";
import { testDirectory } from "../support/directory.ts";
import { poke } from "../support/kernel.ts";
import { Peer } from "../support/peer.ts";
import { type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { qshm, startQshm } from "./support.ts";

const pid = process.pid;
/** Where behaviour cannot differ, one runtime stands for all. */
const ANY: RuntimeName = RUNTIMES.includes("bun") ? "bun" : RUNTIMES[0]!;
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Every byte, also those that no text has. */
const everyByte = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => (i * 7 + (i >> 8)) & 255);
const withoutTimes = (text: string): string[] => text.replaceAll(/since .*/g, "since then").split("\n");

describe.each(RUNTIMES)("qshm show in %s", (runtime) => {
  it("shows a value, and changes nothing", async () => {
    using directory = testDirectory();
    using value = SharedValue.open("v", { directory: directory.path, maxSize: 1000 });
    value.set("old");
    value.set({ done: 3, text: "two\nlines\x1b[31m" });
    const { code, stdout, stderr } = await qshm(runtime, ["show", "v"], { env: { QSHM_DIRECTORY: directory.path } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(withoutTimes(stdout)).toEqual([
      "value:v",
      `  path       ${value.path}`,
      "  size       4 KiB (4096 bytes)",
      "  state      live",
      `  attached   process ${pid} since then`,
      "  value      40 bytes",
      "  at most    1000 bytes",
      "  codec      json",
      "  revision   2",
      `  writer     process ${pid} since then`,
      '  contents   {"done":3,"text":"two\\nlines\\u001b[31m"}',
      "",
    ]);
    expect(value.revision).toBe(2);
    expect(directory.entries()).toEqual(["v-v"]);
  });

  it("shows a semaphore", async () => {
    using directory = testDirectory();
    using semaphore = SystemSemaphore.open("s", { directory: directory.path, initial: 3, max: 9 });
    using _permits = semaphore.tryAcquire(2);
    await using peer = await Peer.start(runtime, { directory: directory.path });
    await peer.run(({ SystemSemaphore }, state) => {
      state.semaphore = SystemSemaphore.open("s");
      state.waiting = state.semaphore.acquire({ count: 2 }); // which has its place in the queue at once
    });
    const env = { QSHM_DIRECTORY: directory.path };
    const { code, stdout, stderr } = await qshm(runtime, ["show", "s"], { env });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(withoutTimes(stdout)).toEqual([
      "semaphore:s",
      `  path       ${semaphore.path}`,
      "  state      live",
      `  attached   process ${pid} since then`,
      `             process ${peer.pid} since then`,
      "  permits    1 of 3 free, 1 waiting",
      "  at most    9",
      "",
    ]);
    const json = JSON.parse((await qshm(runtime, ["show", "--json", "s"], { env })).stdout);
    expect(json).toMatchObject({ kind: "semaphore", semaphore: { available: 1, total: 3, max: 9, queued: 1 } });
    expect(Object.keys(json)).toEqual([
      "kind", "key", "path", "size", "persistent", "state", "attached", "lockOwner", "revision", "waiting", "semaphore",
    ]);
    for (const option of ["--raw", "--hex"]) {
      expect(await qshm(runtime, ["show", option, "s"], { env })).toMatchObject({
        code: 64,
        stdout: "",
        stderr: expect.stringContaining("--hex and --raw show the contents of a memory or a value: semaphore:s is neither"),
      });
    }
  });

  it("writes the very bytes of a value with --raw, also many, and as base64", async () => {
    using directory = testDirectory();
    const contents = everyByte(1_000_003);
    using value = SharedValue.open("v", { directory: directory.path, codec: bytes, maxSize: 1 << 20 });
    value.set(everyByte(1 << 20)); // what is behind the value is not its
    value.set(contents);
    const env = { QSHM_DIRECTORY: directory.path };
    const raw = await qshm(runtime, ["show", "--raw", "v"], { env });
    expect(raw).toMatchObject({ code: 0, stderr: "" });
    expect(Buffer.compare(raw.stdoutBytes, contents)).toBe(0);
    const json = JSON.parse((await qshm(runtime, ["show", "--raw", "--json", "v"], { env })).stdout);
    expect(Buffer.compare(Buffer.from(json.dataBase64, "base64"), contents)).toBe(0);
    const self = { pid, startedAt: expect.any(String), alive: true };
    expect(json.value).toEqual({ revision: 2, size: contents.length, maxSize: 1 << 20, codec: "bytes", writer: self });
  });

  it("reads a value that is kept, and takes no news from its next user", async () => {
    using directory = testDirectory();
    const path = await makeKept(directory.path, everyByte(5000));
    const before = readFileSync(path);
    const env = { QSHM_DIRECTORY: directory.path };
    const raw = await qshm(runtime, ["show", "--raw", "kept"], { env });
    expect(raw.stderr).toBe("");
    expect(Buffer.compare(raw.stdoutBytes, everyByte(5000))).toBe(0);
    expect((await qshm(runtime, ["show", "kept"], { env })).stdout).toMatch(/writer {5}one that has ended\n {2}contents {3}00000000 /);
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
    using value = SharedValue.open("kept", { directory: directory.path, codec: bytes });
    expect(value.get()).toEqual(everyByte(5000));
  });
});

/** A value as a crash leaves it, that persists. */
async function makeKept(directory: string, contents: Uint8Array): Promise<string> {
  using elsewhere = testDirectory();
  using value = SharedValue.open("kept", { directory: elsewhere.path, codec: bytes, persistent: true });
  for (let i = 0; i < 6; i++) value.set(new Uint8Array(9)); // so that it is in some buffer
  value.set(contents);
  copyFileSync(value.path, `${directory}/v-kept`);
  return `${directory}/v-kept`;
}

describe("qshm show", () => {
  const show = async (directory: string, ...args: string[]) => await qshm(ANY, ["show", ...args], { env: { QSHM_DIRECTORY: directory } });

  it("tells that a value was never set", async () => {
    using directory = testDirectory();
    using _value = SharedValue.open("v", { directory: directory.path });
    const { stdout } = await show(directory.path, "v");
    expect(stdout).toMatch(/\n {2}value {6}never set\n {2}at most {4}64 KiB\n {2}codec {6}json\n {2}revision {3}0\n$/);
    for (const option of ["--raw", "--hex"]) {
      expect(await show(directory.path, option, "v")).toMatchObject({
        code: 69,
        stdout: "",
        stderr: "qshm: value:v has nothing to read: it was never set\n",
      });
    }
    expect(JSON.parse((await show(directory.path, "--json", "v")).stdout).value).toEqual({
      revision: 0, size: 0, maxSize: 65536, codec: "json", writer: null,
    });
  });

  it("writes nothing of an empty value", async () => {
    using directory = testDirectory();
    using value = SharedValue.open("v", { directory: directory.path, codec: utf8 });
    value.set("");
    expect(await show(directory.path, "--raw", "v")).toMatchObject({ code: 0, stdout: "", stderr: "" });
    expect((await show(directory.path, "--hex", "v")).stdout).toBe("00000000\n");
    expect((await show(directory.path, "v")).stdout).toMatch(/\n {2}contents {3}""\n$/);
  });

  it("previews what a codec does not say, and cuts what is long", async () => {
    using directory = testDirectory();
    const asJson: Codec<Uint8Array> = { name: "json", encode: bytes.encode, decode: bytes.decode };
    using value = SharedValue.open("v", { directory: directory.path, codec: asJson });
    const preview = async (contents: string | Uint8Array): Promise<string> => {
      value.set(typeof contents === "string" ? bytesOf(contents) : contents);
      const { stdout } = await show(directory.path, "v");
      return stdout.slice(stdout.indexOf("contents   ") + 11);
    };
    expect(await preview('{"broken')).toBe('"{\\"broken"\n');
    expect(await preview(Uint8Array.of(1, 2))).toMatch(/^00000000 {2}01 02 .*\|\.\.\|\n$/);
    expect(await preview(`"${"é".repeat(300)}"`)).toBe(`"${"é".repeat(198)}…\n             … --raw shows all 602 bytes\n`);
    expect(await preview(everyByte(100))).toMatch(/^(.*\n){4} {13}… --hex shows all 100 bytes\n$/);
  });

  it.each([[["--raw"]], [["--hex"]], [["--raw", "--json"]]])("ends quietly when nobody reads a value on: %j", async (options) => {
    using directory = testDirectory();
    using value = SharedValue.open("v", { directory: directory.path, codec: bytes, maxSize: 1 << 20 });
    value.set(everyByte(1 << 20));
    const child = startQshm(ANY, ["show", ...options, "v"], { env: { QSHM_DIRECTORY: directory.path } });
    const closed = once(child, "close");
    await once(child.stdout!, "data");
    child.stdout!.destroy();
    expect(await closed).toEqual([0, null]);
  });

  it("lets no codec's name reach the terminal, and believes no size", async () => {
    using directory = testDirectory();
    using value = SharedValue.open("v", { directory: directory.path, codec: utf8, maxSize: 100 });
    value.set("abc");
    poke(value.path, 284, bytesOf("\x1b[31m\n\0"));
    const { stdout } = await show(directory.path, "v");
    expect(stdout).toContain("  codec      $'\\u001b[31m\\n'\n");
    poke(value.path, 232, new Uint8Array(32).fill(255)); // the lengths of the buffers
    const { code, stdoutBytes } = await show(directory.path, "--raw", "v");
    expect(code).toBe(0);
    expect(stdoutBytes.length).toBeLessThanOrEqual(128);
    for (const command of [["show", "v"], ["show", "v", "--json"], ["list"], ["top", "--count=1"], ["watch", "v", "--initial", "--count=1"]]) {
      const result = await qshm(ANY, command, { env: { QSHM_DIRECTORY: directory.path } });
      expect(result, command.join(" ")).toMatchObject({ code: 0, stderr: "" });
      expect(result.stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
    }
    const path = await makeKept(directory.path, everyByte(10));
    const file = readFileSync(path);
    file.fill(255, 192, 280);
    writeFileSync(path, file);
    expect((await show(directory.path, "--raw", "kept")).code).toBe(0);
  });
});
