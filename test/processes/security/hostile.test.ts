/** Damaged and hostile contents: a typed error or a clean start, never a crash, never a hang. */

import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { SharedMemory as SharedMemoryObject } from "../../../mod.ts";
import { testDirectory } from "../../support/directory.ts";
import { poke } from "../../support/kernel.ts";
import { type Api, Peer, type State } from "../../support/peer.ts";
import { printedRandom } from "../../support/random.ts";
import { RUNTIMES } from "../../support/runtimes.ts";

const MUTATIONS = 1700;
/** Of the control block: what is read before anything is trusted (c/src/layout.h). */
const FIELDS = {
  magic: [0, 4],
  layout: [4, 2],
  kind: [6, 1],
  fingerprint: [8, 8],
  payloadOffset: [16, 8],
  payloadSize: [24, 8],
} as const;
const VALUES = [0, 1, 0x7f, 0xff] as const;
const CONTROL_SIZE = 8192;
const SIZES = [0, 1, 15, 16, 31, 32, 100, 4096, CONTROL_SIZE - 1, CONTROL_SIZE, CONTROL_SIZE + 63, CONTROL_SIZE + 65];

/** The file of a segment of 64 bytes, as a killed process leaves it. */
async function deadSegment(peer: Peer, path: string): Promise<Uint8Array> {
  await peer.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("key", 64)));
  const bytes = readFileSync(path);
  await peer.run((_api, { memory }) => memory.detach());
  return bytes;
}

/** A copy with a range of one value. */
function filled(bytes: Uint8Array, offset: number, length: number, value: number): Uint8Array {
  return Uint8Array.from(bytes).fill(value, offset, offset + length);
}

function tryAttachAndCreate({ SharedMemory }: Api): { attach: string; create: string; recovered: boolean | null } {
  let attach = "done";
  try {
    SharedMemory.attach("key").detach();
  } catch (error) {
    attach = `${(error as Error).name}: ${(error as Error).message}`;
  }
  try {
    const memory = SharedMemory.open("key", 64);
    const { recovered } = memory;
    memory.detach();
    return { attach, create: "done", recovered };
  } catch (error) {
    return { attach, create: `${(error as Error).name}: ${(error as Error).message}`, recovered: null };
  }
}

/**
 * Many rounds in one process: makes a segment or a dead file, damages it at random, calls everything, starts afresh.
 * Gives what was thrown that should not be, and how often each error came.
 */
async function mutate(
  { SharedMemory, QshmError, inspect, list }: Api,
  _state: State,
  { seed, rounds, pristine, path }: { seed: number; rounds: number; pristine: readonly number[]; path: string },
): Promise<{ wrong: string[]; errors: Record<string, number> }> {
  const { openSync, closeSync, writeSync, rmSync, writeFileSync } = process.getBuiltinModule("node:fs");
  let random = seed >>> 0;
  const below = (limit: number): number => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return Math.floor(random / 4294967296 * limit);
  };
  const byte = (): number => [0, 1, 0x7f, 0x80, 0xff, below(256)][below(6)]!;
  const damage = (): [number, Uint8Array] => {
    const areas = [[0, 40], [0, 40], [64, 16], [64, 16], [128, 4], [192, 300], [1024, 2100], [4096, 4096], [0, 8256]];
    const [from, length] = areas[below(areas.length)] as [number, number];
    return [from + below(length), Uint8Array.from({ length: 1 + below(8) }, byte)];
  };
  const wrong: string[] = [];
  const errors: Record<string, number> = {};
  const attempt = async (what: string, call: () => unknown): Promise<unknown> => {
    try {
      return await call();
    } catch (error) {
      const { name, code } = error as Error & { code?: string };
      errors[name] = (errors[name] ?? 0) + 1;
      const expected = name === "TimeoutError" || (error instanceof QshmError && code !== "UnknownError");
      if (!expected) wrong.push(`${what}: ${(error as Error).stack}`);
      return undefined;
    }
  };
  for (let round = 0; round < rounds && wrong.length === 0; round++) {
    let memory: SharedMemoryObject | undefined;
    if (round % 2 === 0) {
      memory = SharedMemory.create("key", 64);
    } else {
      const size = below(4) === 0 ? below(pristine.length) : pristine.length;
      writeFileSync(path, Uint8Array.from(pristine.slice(0, size)), { mode: 0o600 });
    }
    const fd = openSync(path, "r+");
    for (let i = 1 + below(4); i > 0; i--) {
      const [at, bytes] = damage();
      writeSync(fd, bytes, 0, bytes.length, at);
    }
    closeSync(fd);
    const where = `round ${round}, ${memory ? "in use" : "dead"}`;
    // Seldom where somebody is attached: they look through all processes.
    if (memory === undefined || below(16) === 0) await attempt(`${where}, inspect`, () => inspect("memory", "key"));
    if (memory === undefined || below(16) === 0) await attempt(`${where}, list`, () => list());
    for (const one of [memory, await attempt(`${where}, attach`, () => SharedMemory.tryAttach("key"))]) {
      const it = one as SharedMemoryObject | undefined;
      if (it === undefined) continue;
      await attempt(`${where}, owner`, () => it.lockOwner);
      const lock = await attempt(`${where}, tryLock`, () => it.tryLock()) as ReturnType<typeof it.tryLock>;
      if (lock === undefined) await attempt(`${where}, force`, () => it.forceUnlock());
      else await attempt(`${where}, unlock`, () => lock.unlock());
      await attempt(`${where}, lockSync`, () => it.lockSync({ timeout: 0 }).unlock());
      await attempt(`${where}, lock`, async () => (await it.lock({ timeout: 0 })).unlock());
      await attempt(`${where}, write`, () => it.write(Uint8Array.of(1), 3));
      await attempt(`${where}, read`, () => [it.read(), it.revision, it.data[0]]);
      await attempt(`${where}, detach`, () => it.detach());
    }
    await attempt(`${where}, open`, () => SharedMemory.open("key", 64).detach());
    rmSync(path, { force: true });
  }
  return { wrong, errors };
}

describe("hostile contents", { timeout: 600_000 }, () => {
  for (const [i, runtime] of RUNTIMES.entries()) {
    const next = RUNTIMES[(i + 1) % RUNTIMES.length]!;

    it(`attach() in ${runtime} finds nothing, and open() starts afresh, when a dead file is damaged`, async () => {
      using directory = testDirectory();
      const path = `${directory.path}/m-key`;
      await using peer = await Peer.start(runtime, { directory: directory.path });
      const bytes = await deadSegment(peer, path);
      const found = async (what: string, contents: Uint8Array): Promise<void> => {
        writeFileSync(path, contents, { mode: 0o600 });
        const before = await peer.run(({ inspect }) => inspect("memory", "key")?.state);
        expect(before, what).toBeOneOf(["dead", "foreign", "corrupt"]);
        const attached = await peer.run(({ SharedMemory }) => SharedMemory.tryAttach("key") === undefined);
        expect(attached, what).toBe(true);
        writeFileSync(path, contents, { mode: 0o600 });
        const { create, recovered } = await peer.run(({ SharedMemory }) => {
          const memory = SharedMemory.open("key", 64);
          const { recovered, created } = memory;
          memory.detach();
          return { create: created, recovered };
        });
        expect(create, what).toBe(true);
        // Only a segment can have had users that ended without detaching.
        const isSegment = contents.length >= 16 && new TextDecoder().decode(contents.subarray(0, 4)) === "QSHM";
        if (!isSegment || what === "as it is") expect(recovered, what).toBe(isSegment);
        expect(directory.entries(), what).toEqual([]);
      };
      await found("as it is", bytes);
      for (const size of SIZES) {
        await found(`${size} bytes`, Uint8Array.from({ length: size }, (_, i) => bytes[i] ?? 0));
      }
      for (const [field, [offset, length]] of Object.entries(FIELDS)) {
        for (const value of VALUES) await found(`${field} = ${value}`, filled(bytes, offset, length, value));
      }
    });

    it(`attach() and open() in ${runtime} throw IncompatibleError when one in use in ${next} is damaged`, async () => {
      using directory = testDirectory();
      const path = `${directory.path}/m-key`;
      await using peer = await Peer.start(runtime, { directory: directory.path });
      await using holder = await Peer.start(next, { directory: directory.path });
      const bytes = await deadSegment(peer, path);
      await holder.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("key", 64)));
      for (const [field, [offset, length]] of Object.entries(FIELDS)) {
        for (const value of VALUES) {
          const damaged = filled(bytes, offset, length, value);
          if (Buffer.from(damaged).equals(bytes)) continue;
          poke(path, offset, damaged.subarray(offset, offset + length));
          const { attach, create } = await peer.run(tryAttachAndCreate);
          expect(attach, `${field} = ${value}`).toMatch(/^IncompatibleError: /);
          expect(create, `${field} = ${value}`).toMatch(/^IncompatibleError: /);
          poke(path, offset, bytes.subarray(offset, offset + length));
        }
      }
      expect(await peer.run(tryAttachAndCreate)).toMatchObject({ attach: "done", create: "done" });
      // Another version's: named, and left alone while it is in use; reclaimed when it is dead.
      poke(path, 4, Uint8Array.of(2, 0));
      const { attach } = await peer.run(tryAttachAndCreate);
      expect(attach).toMatch(/^IncompatibleError: .*has layout 2, this library has 1/);
      await holder.kill();
      expect(await peer.run(({ SharedMemory }) => SharedMemory.create("key", 64).recovered)).toBe(true);
    });

    it(`attach() in ${runtime} throws IncompatibleError when a segment in use in ${next} is truncated`, async () => {
      using directory = testDirectory();
      const path = `${directory.path}/m-key`;
      await using peer = await Peer.start(runtime, { directory: directory.path });
      for (const size of SIZES) {
        await using holder = await Peer.start("bun", { directory: directory.path });
        await holder.run(({ SharedMemory }, state) => void (state.memory = SharedMemory.create("key", 64)));
        truncateSync(path, size);
        const { attach, create } = await peer.run(tryAttachAndCreate);
        expect(attach, `${size} bytes`).toMatch(/^IncompatibleError: /);
        expect(create, `${size} bytes`).toMatch(/^IncompatibleError: /);
        await holder.kill(); // it must not touch what is no longer there
      }
      expect(await peer.run(({ SharedMemory }) => SharedMemory.create("key", 64).detach())).toBe(true);
      expect(directory.entries()).toEqual([]);
    });

    it(`no call in ${runtime} crashes or throws what it should not when contents are random`, async () => {
      using directory = testDirectory();
      const path = `${directory.path}/m-key`;
      await using peer = await Peer.start(runtime, { directory: directory.path });
      const pristine = [...await deadSegment(peer, path)];
      const { seed } = printedRandom(`mutations in ${runtime}`);
      const { wrong, errors } = await peer.run(mutate, { seed, rounds: MUTATIONS, pristine, path });
      console.log(`${MUTATIONS} mutations in ${runtime}: ${JSON.stringify(errors)}`);
      expect(wrong).toEqual([]);
      expect(errors.IncompatibleError).toBeGreaterThan(10);
      expect(directory.entries()).toEqual([]);
    });
  }
});
