/** One segment, whoever made it: Qt 5, Qt 6, Deno, Bun and Node find each other by a key, and see the same bytes. */

import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { because } from "../support/skips.ts";
import { ALL, PAIRS, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

const READ_ONLY = 0;
const NOT_FOUND = 5, ALREADY_EXISTS = 4, NO_ERROR = 0;

describe.each(PAIRS)("%s makes it, %s joins", (maker, joiner) => {
  const skip = skipOf(maker, joiner);
  const test = (name: string, f: () => Promise<void>): void => it.skipIf(skip)(because(name, skip), f);

  test("both see the same bytes and the exact size, and the last one out removes it", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const [memory, other] = await Promise.all([a.memory("Grüße, \u{1f600}"), b.memory("Grüße, \u{1f600}")]);
    expect(await other.attach()).toBe(false);
    expect(await other.error()).toBe(NOT_FOUND);
    expect(await memory.create(100)).toBe(true);
    expect(await other.create(50)).toBe(false);
    expect(await other.error()).toBe(ALREADY_EXISTS);
    expect(await other.attach()).toBe(true);
    expect([await other.error(), await other.errorString()]).toEqual([NO_ERROR, ""]);
    expect([await memory.size(), await other.size()]).toEqual([100, 100]);

    expect(await other.nativeKey()).toBe(await memory.nativeKey());
    const hash = createHash("sha1").update("Grüße, \u{1f600}").digest("hex");
    expect(await memory.nativeKey()).toBe(`${place.path}/qipc_sharedmemory_Gre${hash}`);
    expect(place.segment(await memory.nativeKey())).toMatchObject({ creator: a.pid, size: 100, mode: 0o600, attachments: 2 });

    expect(await other.read(0, 100)).toBe("00".repeat(100));
    await memory.write(0, "0123");
    await other.write(98, "ff80");
    expect(await other.read(0, 2)).toBe("0123");
    expect(await memory.read(98, 2)).toBe("ff80");

    await memory.delete();
    expect(await other.read(0, 2)).toBe("0123");
    expect(await other.lock()).toBe(true);
    expect(await other.unlock()).toBe(true);
    expect(await other.detach()).toBe(true);
    await other.delete();
  });

  test("the maker may leave last", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const key = place.freshKey();
    const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
    expect(await memory.create(1)).toBe(true);
    expect(await other.attach()).toBe(true);
    await other.delete();
    expect(place.segment(await memory.nativeKey())?.attachments).toBe(1);
    await memory.delete();
  });

  test("strings go both ways, in every version of the format", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const key = place.freshKey();
    const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
    expect(await memory.create(1 << 16)).toBe(true);
    expect(await other.attach()).toBe(true);
    for (const version of [12, 13, 15, 17, 19]) {
      for (const text of ["", null, "Grüße, \u{1f600}", "x", "a\u0000b", "lang ".repeat(6000)]) {
        expect(await memory.writeString(version, text)).toBe(true);
        expect(await other.readString(version)).toBe(text);
        expect(await other.writeString(version, text)).toBe(true);
        expect(await memory.readString(version)).toBe(text);
      }
    }
    await memory.delete();
    await other.delete();
  });

  test("who attaches ReadOnly sees what is written", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const key = place.freshKey();
    const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
    expect(await memory.create(10)).toBe(true);
    expect(await other.attach(READ_ONLY)).toBe(true);
    expect(await other.size()).toBe(10);
    await memory.write(9, "7f");
    expect(await other.read(8, 2)).toBe("007f");
    await memory.delete();
    await other.delete();
  });
});

describe("a detached object", () => {
  for (const name of ALL) {
    const skip = skipOf(name);
    it.skipIf(skip)(because(`of ${name} attaches again, and to another key`, skip), async () => {
      const [peer, other] = await place.pair(name, name);
      const [first, second] = [place.freshKey(), place.freshKey()];
      const [memory, one, two] = await Promise.all([peer.memory(first), other.memory(first), other.memory(second)]);
      expect([await one.create(11), await two.create(22)]).toEqual([true, true]);
      expect(await memory.attach()).toBe(true);
      expect(await memory.detach()).toBe(true);
      expect([await memory.size(), await memory.hasData(), await memory.isAttached()]).toEqual([0, false, false]);
      expect(await memory.attach()).toBe(true);
      await memory.setKey(second);
      expect(await memory.isAttached()).toBe(false);
      expect(await memory.attach()).toBe(true);
      expect(await memory.size()).toBe(22);
      for (const object of [memory, one, two]) await object.delete();
    });
  }
});
