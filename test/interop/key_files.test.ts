/**
 * Somebody deletes key files while they are in use, as cleaners of /tmp do. Those attached go on, with one lock; newcomers cannot
 * find them. Of that no program can do anything; but ours leaves nothing in the kernel in the end, and removes no file that leads
 * to another's segment by now.
 *
 * File systems differ: ext4 gives the number of a deleted file to the next one, so that a new file mostly leads to the old
 * segment, and so may a file of somebody else; tmpfs does not. Hence files are not quite deleted here, lest other tests get their
 * numbers: they have another name still. The test of numbers that come again is in an IPC namespace of its own.
 */

import { execFileSync } from "node:child_process";
import { linkSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, describe, expect, it } from "vitest";
import { ftok, segments, semaphore, semaphores } from "../support/qt_system_v.ts";
import { because, SKIPS } from "../support/skips.ts";
import { MEMORY } from "./errors.ts";
import { ALL, MIXED_PAIRS, OURS, type PeerName, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

describe.each([["tmpfs", "/dev/shm"], ["the file system of /tmp", tmpdir()]])("on %s", (_, parent) => {
  const place = testPlace(parent);

  const hidden = mkdtempSync(`${parent}/qshm-hidden-`);
  let files = 0;
  afterAll(() => rmSync(hidden, { recursive: true }));

  /** Deletes a file under its name. */
  function hide(file: string): void {
    linkSync(file, `${hidden}/${++files}`);
    rmSync(file);
  }

  const isThere = (id: number): boolean => segments().some((segment) => segment.id === id);

  describe.each(MIXED_PAIRS)("%s makes it, %s joins", (maker, joiner) => {
    const skip = skipOf(maker, joiner);
    const test = (name: string, f: () => Promise<void>): void => it.skipIf(skip)(because(name, skip), f);

    async function scene() {
      const [a, b] = await place.pair(maker, joiner);
      const key = place.freshKey();
      const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
      expect(await memory.create(8)).toBe(true);
      expect(await other.attach()).toBe(true);
      const file = await memory.nativeKey();
      return { key, memory, other, file, segment: place.segment(file)!, lock: await place.lockOf(memory) };
    }

    test("the segment's file is deleted: both go on, newcomers get NotFound, and the last one out removes the segment", async () => {
      const { key, memory, other, file, segment, lock } = await scene();
      hide(file);
      await memory.write(0, "5a");
      expect(await other.read(0, 1)).toBe("5a");
      expect([await other.lock(), semaphore(lock)?.value, await other.unlock()]).toEqual([true, 0, true]);
      for (const name of ALL.filter((each) => skipOf(each) === undefined)) {
        const newcomer = await (await place.peer(name)).memory(key);
        expect([name, await newcomer.attach(), await newcomer.error()]).toEqual([name, false, MEMORY.NotFound]);
        await newcomer.delete();
      }
      await other.delete();
      expect(isThere(segment.id)).toBe(true);
      await memory.delete();
      expect(isThere(segment.id)).toBe(false);
    });

    test("both files are deleted: the lock holds between the two, and nothing stays in the kernel", async () => {
      const { memory, other, file, segment, lock } = await scene();
      hide(file);
      hide(file.replace("sharedmemory", "systemsem"));
      expect(await memory.lock()).toBe(true);
      const locked = other.lock();
      await place.waiting(lock);
      expect(await memory.unlock()).toBe(true);
      expect([await locked, await other.unlock()]).toEqual([true, true]);
      await other.delete();
      await memory.delete();
      expect([isThere(segment.id), semaphores().some(({ id }) => id === lock)]).toEqual([false, false]);
    });
  });

  describe.each(OURS)("%s", (ours) => {
    for (const second of ALL) {
      const skip = skipOf(second);
      it.skipIf(skip)(because(`the file is deleted and ${second} creates: a second segment, which ours does not take for its own`, skip), async () => {
        const [a, b] = await place.pair(ours, second);
        const key = place.freshKey();
        const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
        expect(await memory.create(8)).toBe(true);
        const file = await memory.nativeKey();
        const old = place.segment(file)!;
        hide(file);
        expect(await other.create(9)).toBe(true);
        expect(ftok(statSync(file))).not.toBe(old.key);
        await memory.delete();
        expect(isThere(old.id)).toBe(false);
        // Qt's last one out would have removed the file of the other one.
        expect(place.segment(file)).toMatchObject({ size: 9, attachments: 1 });
        await other.delete();
      });
    }

    it("the lock's file is deleted: a newcomer has a lock of its own, as in Qt; the first ones share theirs, and all is removed", async () => {
      const [a, b] = await place.pair(ours, OURS[(OURS.indexOf(ours) + 1) % OURS.length] as PeerName);
      const key = place.freshKey();
      const [memory, other] = [await a.ownMemory(key), await b.ownMemory(key)];
      expect(await memory.create(8)).toBe(true);
      const lockFile = (await memory.nativeKey()).replace("sharedmemory", "systemsem");
      const old = await place.lockOf(memory);
      hide(lockFile);
      expect(await other.attach()).toBe(true);
      const young = place.semaphoreId(lockFile)!;
      expect(await memory.lock()).toBe(true);
      expect(young).not.toBe(old);
      expect(await other.tryLock(), "two hold what was one lock").toBe(true);
      await memory.unlock();
      await other.unlock();
      await memory.delete();
      await other.delete();
      expect(semaphores().filter(({ id }) => id === old || id === young)).toEqual([]);
    });
  });
});

describe("a new file gets the number of the deleted one", () => {
  const place = testPlace();

  for (const second of ALL) {
    const ours = OURS[ALL.indexOf(second) % OURS.length]!;
    const skip = skipOf(second) ?? SKIPS.root;
    const what = second === "qt5" || second === "qt6" ? "and stays, so that it is found again" : "and does not stay, since it may be another's";
    it.skipIf(skip)(because(`of ${ours}'s segment, when ${second} creates: what is there is used, so it is refused; its file is made, ${what}`, skip), async () => {
      const a = await place.another(ours, ["unshare", "--ipc"]);
      const inside = ["nsenter", "-t", String(a.pid), "--ipc"];
      const b = await place.another(second, inside);
      const list = (): string[] => execFileSync(inside[0]!, [...inside.slice(1), "cat", "/proc/sysvipc/shm"], { encoding: "utf8" }).trim().split("\n").slice(1);
      const key = place.freshKey();
      const [memory, other] = [await a.memory(key), await b.memory(key)];
      expect(await memory.create(8)).toBe(true);
      await memory.write(0, "5a");
      const file = await memory.nativeKey();
      const { ino } = statSync(file);
      rmSync(file);
      const created = await other.create(9);
      const isSame = list().length === 1;
      console.log(`${second}: the number ${ino} ${isSame ? "came again" : "did not come again, which this file system need not do"}`);
      expect(created).toBe(!isSame);
      if (isSame) {
        expect(await other.error()).toBe(MEMORY.AlreadyExists);
        const isQt = second === "qt5" || second === "qt6";
        expect([await other.attach(), await other.error()]).toEqual(isQt ? [true, MEMORY.NoError] : [false, MEMORY.NotFound]);
        if (isQt) expect(await other.read(0, 1)).toBe("5a");
      }
      await other.delete();
      expect(await memory.read(0, 1)).toBe("5a");
      await memory.delete();
      expect(list()).toEqual([]);
    });
  }
});
