/** The files that keys lead to: as real Qt recorded them, and as the Qt that is here finds them, wherever TMPDIR leads. */

import { mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { relative } from "node:path";
import { describe, expect, it } from "vitest";
import { isQt, QTS } from "../support/qt.ts";
import { because } from "../support/skips.ts";
import { CREATE, MEMORY, SEMAPHORE } from "./errors.ts";
import { ALL, OURS, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

interface Vector {
  readonly key: string;
  readonly sharedMemoryFile: string | null;
  readonly semaphoreFile: string | null;
  /** Can a segment be made? The file's name may be too long. */
  readonly creatable: boolean;
}

const VECTORS: readonly Vector[] = JSON.parse(readFileSync(new URL("./golden/native-keys.json", import.meta.url), "utf8"));

const here = (file: string): string => file.replace(/^\/tmp\//, "");

describe.each(ALL)("the recorded keys in %s", (name) => {
  const skip = skipOf(name);
  const test = (what: string, f: () => Promise<void>): void => it.skipIf(skip)(because(what, skip), f);

  test("lead to the recorded files, with TMPDIR unset and set", async () => {
    const [unset, peer] = [await place.another(name, ["env", "-u", "TMPDIR"]), await place.peer(name)];
    let compared = 0;
    for (const { key, sharedMemoryFile } of VECTORS) {
      const [memory, other] = [await unset.memory(key), await peer.memory(key)];
      expect([key, await memory.nativeKey()]).toEqual([key, sharedMemoryFile ?? ""]);
      expect(await other.nativeKey()).toBe(sharedMemoryFile === null ? "" : `${place.path}/${here(sharedMemoryFile)}`);
      await memory.delete();
      await other.delete();
      compared++;
    }
    console.log(`${name}: vectors compared: ${compared} of ${VECTORS.length}`);
    expect(compared).toBe(40);
  });

  test("can be used, or not, as recorded; the files of segment and lock are those that appear", async () => {
    const peer = await place.peer(name);
    for (const { key, sharedMemoryFile, semaphoreFile, creatable } of VECTORS) {
      const memory = await peer.memory(key);
      expect([key, await memory.create(1)]).toEqual([key, creatable]);
      expect(await memory.error()).toBe(creatable ? MEMORY.NoError : MEMORY.KeyError);
      expect(place.traces().files).toEqual(creatable ? [here(sharedMemoryFile!), here(semaphoreFile!)].sort() : []);
      expect([await memory.lock(), await memory.unlock()]).toEqual([creatable, creatable]); // which tells others of ours
      await memory.delete();
    }
  });

  test("of more than 197 letters are refused for segments, of more than 200 for semaphores, and nothing is left", async () => {
    const peer = await place.peer(name);
    for (const letters of [197, 198, 200, 201, 5000]) {
      const key = `${"k".repeat(letters)} 1`;
      const fits = letters <= 197;
      const memory = await peer.memory(key);
      expect([letters, await memory.create(1), await memory.error()]).toEqual([letters, fits, fits ? MEMORY.NoError : MEMORY.KeyError]);
      // Qt looks for the file, and there is none; ours says why there cannot be one.
      const attachError = isQt(name) && letters <= 200 ? MEMORY.NotFound : MEMORY.KeyError;
      if (!fits) expect([letters, await memory.attach(), await memory.error()]).toEqual([letters, false, attachError]);
      await memory.delete();
      const semaphore = await peer.semaphore(key, 1, CREATE);
      const has = letters <= 200;
      expect([letters, await semaphore.acquire()]).toEqual([letters, has]);
      expect(await semaphore.error()).toBe(has ? SEMAPHORE.NoError : SEMAPHORE.KeyError);
      await semaphore.delete();
      expect(place.traces()).toEqual({ files: [], segments: [], semaphores: [] });
    }
    const many = await peer.memory("\u00e9".repeat(5000)); // no letters in Qt's sense
    expect(await many.create(1)).toBe(true);
    await many.delete();
  });
});

describe("TMPDIR", () => {
  const directory = `${place.path}/directory`, link = `${place.path}/link`;
  const VARIANTS: Readonly<Record<string, readonly string[]>> = {
    "a directory": [`TMPDIR=${directory}`],
    "with a slash at its end": [`TMPDIR=${directory}/`],
    "with several slashes": [`TMPDIR=${directory.replaceAll("/", "//")}//`],
    "with dots": [`TMPDIR=${directory}/./../directory`],
    "a link": [`TMPDIR=${link}`],
    "below a link": [`TMPDIR=${link}/../directory`],
    "relative": [`TMPDIR=${relative(process.cwd(), directory)}`],
    "missing": [`TMPDIR=${place.path}/missing`],
    "empty": ["TMPDIR="],
    "unset": ["-u", "TMPDIR"],
    "the root": ["TMPDIR=/"],
  };
  for (const [what, settings] of Object.entries(VARIANTS)) {
    const skip = skipOf(...QTS);
    it.skipIf(skip)(because(`${what}: the same file in ${ALL.join(", ")}`, skip), async () => {
      mkdirSync(directory);
      symlinkSync(directory, link);
      const found = await Promise.all(ALL.map(async (name) => {
        const memory = await (await place.another(name, ["env", ...settings])).memory("key 1");
        return [name, await memory.nativeKey()];
      }));
      const real = found.find(([name]) => name === "qt5")![1];
      expect(Object.fromEntries(found)).toEqual(Object.fromEntries(ALL.map((name) => [name, real])));
      rmSync(directory, { recursive: true });
      rmSync(link);
    });
  }

  it.each(OURS)("is another: no sharing between %s there and here, and the same key works in both", async (name) => {
    mkdirSync(directory);
    const [there, here] = [await place.another(name, ["env", `TMPDIR=${directory}`]), await place.peer(name)];
    const [one, two] = [await there.memory("key"), await here.memory("key")];
    expect(await one.create(1)).toBe(true);
    expect([await two.attach(), await two.error()]).toEqual([false, MEMORY.NotFound]);
    expect(await two.create(2)).toBe(true);
    expect([await one.size(), await two.size()]).toEqual([1, 2]);
    await one.delete();
    await two.delete();
    rmSync(directory, { recursive: true });
  });
});
