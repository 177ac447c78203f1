/**
 * What Qt's own test of QNativeIpcKey checks, as far as a text can do what that class does: `nativeIpcKey()` is its toString(),
 * `setNativeKey()` its fromString(). Numbers are those of our reference. 5 and 6 (qHash, swap) are of the C++ class only.
 */

import { describe, expect, it } from "vitest";
import { MEMORY } from "./errors.ts";
import { OURS, type OwnMemory, type Remote } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

/** Paths as they are, and in the written form. */
const PATHS = [
  ["text", "text"],
  ["/sample/path", "/sample/path"],
  ["Global\\sample", "Global\\sample"],
  [":/", ":/"],
  ["/:", "/:"],
  ["%", "%25"],
  ["?#", "%3F%23"],
  ["#?", "%23%3F"],
  ["//", "/%2F"],
  ["///", "/%2F/"],
  ["caf\u00e9", "caf\u00e9"],
  ["\u{1f600}", "\u{1f600}"],
] as const;

const TYPES = [[1, "systemv-1"], [81, "systemv"], [84, "systemv-84"], [255, "systemv-255"]] as const;

describe.each(OURS)("tst_QNativeIpcKey in %s", (runtime) => {
  const test = (what: string, f: (memory: Remote<OwnMemory>) => Promise<void>): void =>
    it(`tst_QNativeIpcKey ${what}`, async () => {
      const memory = await (await place.peer(runtime)).ownMemory();
      await f(memory);
      await memory.delete();
    });

  async function expectRefused(memory: Remote<OwnMemory>, text: string): Promise<void> {
    await memory.setNativeKey("/before");
    await memory.setNativeKey(text);
    expect([text, await memory.error(), await memory.nativeKey(), await memory.nativeIpcKey()])
      .toEqual([text, MEMORY.KeyError, "", ""]);
    expect(await memory.errorString()).toContain("setNativeKey");
  }

  test("1: the default and legacy type is System V, which is 'Q'; other systems' types are refused", async (memory) => {
    for (const set of [() => memory.setKey("one"), () => memory.setNativeKey(`${place.path}/one`)]) {
      await set();
      expect(await memory.nativeIpcKey()).toMatch(/^systemv:/);
      expect(await memory.create(1)).toBe(true);
      expect(place.segment(await memory.nativeKey(), "Q".charCodeAt(0))?.size).toBe(1);
    }
    await memory.setNativeKey(`systemv-84:${place.path}/one`);
    expect(await memory.create(2)).toBe(true);
    expect(place.segment(`${place.path}/one`, "T".charCodeAt(0))?.size).toBe(2);
    for (const text of ["posix:/name", "windows:name", "windows:Global\\name"]) await expectRefused(memory, text);
  });

  test("2, 3: default, typed, keyed construction, over an invalid key as well; setters and getters", async (memory) => {
    expect([await memory.nativeIpcKey(), await memory.error()]).toEqual(["", MEMORY.NoError]);
    await expectRefused(memory, "posix:/name");
    await memory.setNativeKey("/one");
    expect([await memory.nativeIpcKey(), await memory.nativeKey(), await memory.error()]).toEqual(["systemv:/one", "/one", MEMORY.NoError]);
    await memory.setNativeKey("systemv-84:/one");
    expect([await memory.nativeIpcKey(), await memory.nativeKey()]).toEqual(["systemv-84:/one", "/one"]);
    await memory.setNativeKey("");
    expect([await memory.nativeIpcKey(), await memory.nativeKey(), await memory.error()]).toEqual(["", "", MEMORY.NoError]);
  });

  test("4: equality depends on type, key and legacy key", async (memory) => {
    await memory.setKey("one");
    const [legacy, path] = [await memory.nativeIpcKey(), await memory.nativeKey()];
    await memory.setNativeKey(path); // as it is, without the legacy key
    const plain = await memory.nativeIpcKey();
    await memory.setKey("one");
    expect(await memory.nativeIpcKey()).toBe(legacy);
    await memory.setNativeKey(`systemv-84:${path}`);
    expect(new Set([legacy, plain, await memory.nativeIpcKey()]).size).toBe(3);
  });

  test("7: toString table: text, path, :/, %, ?#, //, Latin-1, non-BMP; types 1, 81, 84, 255", async (memory) => {
    for (const [, type] of TYPES) {
      for (const [path, written] of PATHS) {
        await memory.setNativeKey(`${type}:${written}`);
        expect([await memory.nativeKey(), await memory.nativeIpcKey()]).toEqual([path, `${type}:${written}`]);
      }
    }
  });

  test("8: fromString reverses it; alias systemv-81, zero-padded 009, percent-decoding, fragment ignored", async (memory) => {
    for (const [text, written, path] of [
      ["systemv-81:/one", "systemv:/one", "/one"],
      ["systemv-009:/one", "systemv-9:/one", "/one"],
      ["systemv:/%6fne", "systemv:/one", "/one"],
      ["systemv:/caf%C3%A9", "systemv:/caf\u00e9", "/caf\u00e9"],
      ["systemv:/one#two", "systemv:/one", "/one"],
    ] as const) {
      await memory.setNativeKey(text);
      expect([await memory.error(), await memory.nativeIpcKey(), await memory.nativeKey()]).toEqual([MEMORY.NoError, written, path]);
    }
  });

  test("8: what is not well written is invalid", async (memory) => {
    const numbers = ["systemv-0", "systemv-256", "systemv-32769", "systemv-4294967297", "systemv255", "systemv--255", "systemv+255"];
    const types = [...numbers, "systemv-+255", "systemv0x01", "systemv-0x01", "systemv-1junk", "systemvx", "xsystemv", "81", "-81", "", "SystemV"];
    for (const type of types) await expectRefused(memory, `${type}:/one`);
    for (const text of ["systemv:/one?bar", "systemv:/one?bar=1", "systemv:/one?legacyKey=a&bar=b", "systemv:/one%", "systemv:/%ff", "systemv:"]) {
      await expectRefused(memory, text);
    }
  });

  test("9: legacy keys survive toString/fromString and show legacyKey=", async (memory) => {
    for (const [key, written] of [["one", "one"], ["a&b=c", "a%26b%3Dc"], ["100%?#", "100%25%3F%23"], ["No\u00ebl \u{1f600}", "No\u00ebl \u{1f600}"]] as const) {
      await memory.setKey(key);
      const text = await memory.nativeIpcKey();
      const path = await memory.nativeKey();
      expect(text).toBe(`systemv:${path}?legacyKey=${written}`);
      await memory.setNativeKey("/other");
      await memory.setNativeKey(text);
      expect([await memory.key(), await memory.nativeKey(), await memory.nativeIpcKey()]).toEqual([key, path, text]);
    }
  });
});
