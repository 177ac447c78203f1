/**
 * `kill -9` of either side: Qt's or ours, as maker and as joiner, holding the lock or waiting for it. The kernel gives the lock
 * back; what nobody has a hand on any more stays, until somebody comes who takes it up.
 */

import { describe, expect, it } from "vitest";
import { semaphore } from "../support/qt_system_v.ts";
import { QTS } from "../support/qt.ts";
import { printedRandom } from "../support/random.ts";
import { because } from "../support/skips.ts";
import { MEMORY } from "./errors.ts";
import { ALL, MIXED_PAIRS, OURS, PAIRS, type PeerName, type QtPeer, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

/** A Qt peer beside each of ours, in both orders, and ours with ours. */
const DEATHS = [...MIXED_PAIRS, ...PAIRS.filter(([a, b]) => OURS.includes(a as never) && OURS.includes(b as never))];

const isOurs = (name: PeerName): boolean => (OURS as readonly PeerName[]).includes(name);

let turn = 0;

/** One of ours, another each time, but not this one: an object that waits holds up the others of its process. */
function someOfOurs(not?: PeerName): Promise<QtPeer> {
  const choice = OURS.filter((name) => name !== not);
  return place.peer(choice[turn++ % choice.length]!);
}

/** A segment's two files, by name. */
async function filesOf(memory: { nativeKey(): Promise<string> }): Promise<{ segment: string; lock: string }> {
  const segment = (await memory.nativeKey()).slice(place.path.length + 1);
  return { segment, lock: segment.replace("sharedmemory", "systemsem") };
}

describe.each(DEATHS)("%s is killed, %s lives on", (victim, survivor) => {
  const skip = skipOf(victim, survivor);
  const test = (name: string, f: () => Promise<void>): void => it.skipIf(skip)(because(name, skip), f);

  test("the dead one had made the segment: the bytes and the lock stay, and the survivor is the last one out", async () => {
    const [dying, other] = await Promise.all([place.another(victim), place.peer(survivor)]);
    const key = place.freshKey();
    const [made, joined] = await Promise.all([dying.memory(key), other.memory(key)]);
    expect(await made.create(100)).toBe(true);
    await made.write(99, "5a");
    expect(await joined.attach()).toBe(true);
    const id = await place.lockOf(joined);
    await dying.kill();
    expect(place.segment(await joined.nativeKey())).toMatchObject({ creator: dying.pid, attachments: 1 });
    expect(await joined.read(99, 1)).toBe("5a");
    expect(await joined.lock()).toBe(true);
    expect(semaphore(id)).toMatchObject({ value: 0, changer: other.pid });
    expect(await joined.unlock()).toBe(true);
    expect(await joined.detach()).toBe(true);
    const { lock } = await filesOf(joined);
    await joined.delete();
    // A lock is removed by the object that made it, in Qt, and that one is dead. Ours removes it with the segment.
    expect(place.traces()).toEqual(isOurs(survivor)
      ? { files: [], segments: [], semaphores: [] }
      : { files: [lock], segments: [], semaphores: [id] });
    expect(await (await someOfOurs()).remove(key)).toBe(!isOurs(survivor));
  });

  for (const dead of ["maker", "joiner"] as const) {
    test(`the dead one, the ${dead}, held the lock: who waits for it in the kernel gets it, and it is one lock still`, async () => {
      const [dying, other] = await Promise.all([place.another(victim), place.peer(survivor)]);
      const key = place.freshKey();
      const [theirs, memory] = await Promise.all([dying.memory(key), other.memory(key)]);
      const [first, second] = dead === "maker" ? [theirs, memory] : [memory, theirs];
      expect(await first.create(1)).toBe(true);
      expect(await second.attach()).toBe(true);
      const id = await place.lockOf(memory);
      expect(await theirs.lock()).toBe(true);
      await theirs.write(0, "07");
      const locked = memory.lock();
      await place.waiting(id);
      await dying.kill();
      expect(await locked).toBe(true);
      expect(semaphore(id)).toMatchObject({ value: 0, changer: other.pid });
      expect(await memory.read(0, 1)).toBe("07");
      const third = await (await someOfOurs(survivor)).ownMemory(key);
      const attached = third.attach();
      await place.waiting(id);
      expect(await memory.unlock()).toBe(true);
      expect(await attached).toBe(true);
      expect(semaphore(id)?.value).toBe(1);
      await memory.delete();
      await third.delete(); // one of ours is the last one out
    });
  }

  test("the dead one waited for the lock: its holder has it still, and gives it back once", async () => {
    const [dying, other] = await Promise.all([place.another(victim), place.peer(survivor)]);
    const key = place.freshKey();
    const [theirs, memory] = await Promise.all([dying.memory(key), other.memory(key)]);
    expect(await memory.create(1)).toBe(true);
    expect(await theirs.attach()).toBe(true);
    const id = await place.lockOf(memory);
    expect(await memory.lock()).toBe(true);
    theirs.lock().catch(() => {});
    await place.waiting(id);
    await dying.kill();
    expect(semaphore(id)).toMatchObject({ value: 0, waiters: 0 });
    expect(await memory.unlock()).toBe(true);
    expect(semaphore(id)?.value).toBe(1);
    await memory.delete();
  });
});

/** Makes a segment of 10 bytes, writes to it, and is killed with the lock in its hand, and nobody else there. */
async function leaveDebris(victim: PeerName, key: string): Promise<void> {
  const dying = await place.another(victim);
  const memory = await dying.memory(key);
  expect(await memory.create(10)).toBe(true);
  await memory.write(0, "c0ffee");
  expect(await memory.lock()).toBe(true);
  const nativeKey = await memory.nativeKey();
  const { segment, lock } = await filesOf(memory);
  const id = await place.lockOf(memory);
  await dying.kill();
  // The same for Qt and ours: segment, lock and both files stay; the lock is free.
  const left = place.segment(nativeKey)!;
  expect(left).toMatchObject({ size: 10, mode: 0o600, attachments: 0, creator: dying.pid });
  expect(place.traces()).toEqual({ files: [segment, lock], segments: [left.id], semaphores: [id] });
  expect(semaphore(id)).toMatchObject({ value: 1, changer: dying.pid });
}

describe.each(ALL)("%s is killed as the last one", (victim) => {
  for (const rescuer of OURS) {
    const skip = skipOf(victim);
    it.skipIf(skip)(because(`create() in ${rescuer} takes its place in one call: zeroed, of the new size, recovered`, skip), async () => {
      const key = place.freshKey();
      await leaveDebris(victim, key);
      const memory = await (await place.peer(rescuer)).ownMemory(key);
      expect(await memory.create(20)).toBe(true);
      expect([await memory.error(), await memory.recovered(), await memory.size()]).toEqual([MEMORY.NoError, true, 20]);
      expect(await memory.read(0, 20)).toBe("00".repeat(20));
      expect(await memory.lock()).toBe(true);
      expect(await memory.unlock()).toBe(true);
      expect(await memory.detach()).toBe(true);
      expect(await memory.create(1)).toBe(true);
      expect(await memory.recovered(), "there was nothing").toBe(false);
      await memory.delete();
    });

    it.skipIf(skip)(because(`attach() in ${rescuer} saves the contents; its detach leaves nothing, not even the lock`, skip), async () => {
      const key = place.freshKey();
      await leaveDebris(victim, key);
      const memory = await (await place.peer(rescuer)).ownMemory(key);
      expect(await memory.attach()).toBe(true);
      expect([await memory.recovered(), await memory.size()]).toEqual([true, 10]);
      expect(await memory.read(0, 10)).toBe("c0ffee00000000000000");
      const other = await (await someOfOurs()).ownMemory(key);
      expect(await other.attach()).toBe(true);
      expect(await other.recovered(), "somebody is attached again").toBe(false);
      await other.delete();
      expect(await memory.detach()).toBe(true);
      expect(place.traces()).toEqual({ files: [], segments: [], semaphores: [] });
      await memory.delete();
    });
  }

  for (const qt of QTS) {
    const skip = skipOf(victim, qt);
    it.skipIf(skip)(because(`${qt} cannot create, can attach, and leaves the lock behind; ours removes it`, skip), async () => {
      const key = place.freshKey();
      await leaveDebris(victim, key);
      const rescuer = await someOfOurs();
      const memory = await (await place.peer(qt)).memory(key);
      const { lock } = await filesOf(memory);
      expect(await memory.attach()).toBe(true);
      expect(await memory.read(0, 3)).toBe("c0ffee");
      const id = await place.lockOf(memory);
      await memory.delete();
      expect(place.traces()).toEqual({ files: [lock], segments: [], semaphores: [id] });
      if (turn % 2 === 0) expect(await rescuer.remove(key)).toBe(true);
      const own = await rescuer.ownMemory(key);
      expect(await own.attach()).toBe(false);
      expect(await own.error()).toBe(MEMORY.NotFound);
      expect(await own.create(1)).toBe(true);
      expect(await own.recovered(), "nothing of the memory was left").toBe(false);
      await own.delete();
    });

    it.skipIf(skip)(because(`${qt}'s create() finds it existing, for ever; remove() of ours frees the key`, skip), async () => {
      const key = place.freshKey();
      await leaveDebris(victim, key);
      const [peer, rescuer] = [await place.peer(qt), await someOfOurs()];
      for (const memory of [await peer.memory(key), await peer.memory(key)]) {
        expect(await memory.create(1)).toBe(false);
        expect(await memory.error()).toBe(MEMORY.AlreadyExists);
      }
      expect(await rescuer.remove(key)).toBe(true);
      expect(await rescuer.remove(key), "there is nothing any more").toBe(false);
      const memory = await peer.memory(key);
      expect(await memory.create(1)).toBe(true);
      expect(await memory.read(0, 1)).toBe("00");
      await memory.delete();
    });
  }
});

describe("what ours tell each other by, a segment of qshm's own, outlives a crash no longer than the memory", () => {
  for (const reaper of ["create", "attach", "remove", "Qt, then create"] as const) {
    const ours = OURS[reaper.length % OURS.length]!;
    const skip = reaper.startsWith("Qt") ? skipOf("qt6") : undefined;
    it.skipIf(skip)(because(`${ours}: ${reaper}`, skip), async () => {
      const [dying, rescuer] = [await place.another(ours), await place.peer(ours)];
      const key = place.freshKey();
      const memory = await dying.memory(key);
      expect(await memory.create(10)).toBe(true);
      expect([await memory.lock(), await memory.unlock()]).toEqual([true, true]);
      await dying.kill();
      expect(place.traces().files.filter((name) => name.startsWith("m-"))).toHaveLength(1);
      if (reaper === "remove") return expect(await rescuer.remove(key)).toBe(true);
      if (reaper.startsWith("Qt")) {
        const qt = await (await place.peer("qt6")).memory(key);
        expect([await qt.attach(), await qt.detach()]).toEqual([true, true]);
        await qt.delete();
      }
      const own = await rescuer.memory(key);
      expect(reaper === "attach" ? await own.attach() : await own.create(1)).toBe(true);
      await own.delete();
    });
  }
});

describe("killed at any moment", () => {
  const TIMES = 1000, MORE = 100, FAR = 1_000_000;
  const random = printedRandom("kills at any moment");
  const rounds = QTS.flatMap((qt) => OURS.flatMap((ours) => [[qt, ours], [ours, qt]] as const));
  it.each(rounds)("%s in the midst of its locked increments: those of %s stay exact", async (victim, survivor) => {
    const skip = skipOf(victim, survivor);
    if (skip !== undefined) return;
    const [dying, other, observer] = await Promise.all([place.another(victim), place.peer(survivor), place.another("node")]);
    const key = place.freshKey();
    const [theirs, memory, seen] = await Promise.all([dying.memory(key), other.memory(key), observer.memory(key)]);
    expect(await memory.create(4)).toBe(true);
    expect(await theirs.attach()).toBe(true);
    expect(await seen.attach()).toBe(true);
    const value = async (): Promise<number> => Buffer.from(await seen.read(0, 4), "hex").readUInt32LE();
    theirs.count(FAR).catch(() => {});
    const counted = memory.count(TIMES);
    const moment = 1 + random.below(TIMES);
    while (await value() < moment);
    await dying.kill();
    expect(await counted).toBe(TIMES);
    const before = await value();
    expect(before).toBeGreaterThanOrEqual(Math.max(TIMES, moment));
    expect(await memory.count(MORE)).toBe(MORE);
    expect(await value()).toBe(before + MORE);
    expect(semaphore(await place.lockOf(memory))?.value).toBe(1);
    await seen.delete();
    await memory.delete();
    // If Qt is left alone, nobody removes what one of ours had to tell others of ours by.
    await (await someOfOurs()).remove(key);
  });
});
