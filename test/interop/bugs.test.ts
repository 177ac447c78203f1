/**
 * Two bugs of Qt's, in the order of calls that brings them out, with a Qt program on either side.
 *
 * A: a create() that fails sets the lock to 1, "free", also while another holds it, and makes its object the lock's owner, which
 * removes it when it goes; an unlock() that finds the lock removed makes it anew, with 1, and adds 1.
 * B: after a crash, create() fails, and (since 6.6) the attach() that follows on the same object does as well.
 *
 * All changes are such that the kernel takes them back at the end of a process. So value and debts together stay 1, if each keeps to
 * that, and the lock is right again when all have gone; what one of ours does must not break this.
 */

import { describe, expect, it } from "vitest";
import { semaphore } from "../support/qt_system_v.ts";
import { QTS } from "../support/qt.ts";
import { because } from "../support/skips.ts";
import { MEMORY } from "./errors.ts";
import { type Memory, OURS, type PeerName, type QtPeer, type Remote, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

const valueOf = (id: number): number | undefined => semaphore(id)?.value;

/** Is the lock one lock? Each of the two gets it, and keeps the other out. */
async function expectExclusion(one: Remote<Memory>, other: Remote<Memory>): Promise<void> {
  for (const [holder, waiter] of [[one, other], [other, one]] as const) {
    expect(await holder.lock()).toBe(true);
    const id = await place.lockOf(holder);
    expect(valueOf(id)).toBe(0);
    const locked = waiter.lock();
    await place.waiting(id);
    expect(await holder.unlock()).toBe(true);
    expect(await locked).toBe(true);
    expect(valueOf(id)).toBe(0);
    expect(await waiter.unlock()).toBe(true);
    expect(valueOf(id)).toBe(1);
  }
}

/** A create() of Qt's that fails, with the harm that it does. */
async function failingCreate(peer: QtPeer, key: string, id: number): Promise<Remote<Memory>> {
  const memory = await peer.memory(key);
  expect(await memory.create(8)).toBe(false);
  expect(await memory.error()).toBe(MEMORY.AlreadyExists);
  expect(semaphore(id), "Qt's bug: free, though held").toMatchObject({ value: 1, changer: peer.pid });
  return memory;
}

/** Two processes of Qt's make the value 2, and one of ours is there. */
async function valueTwo(qt: PeerName, ours: PeerName) {
  const [a, b, o] = await Promise.all([place.another(qt), place.peer(qt), place.another(ours)]);
  const key = place.freshKey();
  const [held, own] = [await a.memory(key), await o.ownMemory(key)];
  expect(await held.create(8)).toBe(true);
  expect(await own.attach()).toBe(true);
  expect(await held.lock()).toBe(true);
  const failed = await failingCreate(b, key, await place.lockOf(held));
  await failed.delete();
  expect(await held.unlock()).toBe(true);
  const id = await place.lockOf(held);
  expect(valueOf(id), "Qt's bug: free twice").toBe(2);
  return { a, b, o, key, held, own, id };
}

const CASES = QTS.flatMap((qt) => OURS.map((ours) => [qt, ours] as const));

describe.each(CASES)("%s and %s", (qt, ours) => {
  const skip = skipOf(qt, ours);
  const test = (name: string, f: () => Promise<void>): void => it.skipIf(skip)(because(name, skip), f);

  test("A: ours holds the lock, a create() of Qt's fails: our unlock does not make it free twice", async () => {
    const [o, b] = await Promise.all([place.peer(ours), place.peer(qt)]);
    const key = place.freshKey();
    const own = await o.ownMemory(key);
    expect(await own.create(8)).toBe(true);
    const id = await place.lockOf(own);
    expect(await own.lock()).toBe(true);
    const other = await failingCreate(b, key, id);
    expect(await own.unlock()).toBe(true);
    expect(valueOf(id)).toBe(1);
    expect(await other.attach()).toBe(true);
    await expectExclusion(own, other);
    await other.delete();
    await own.delete();
  });

  test("A: ... and Qt has taken it: our unlock does not free Qt's lock", async () => {
    const [o, b, c] = await Promise.all([place.peer(ours), place.peer(qt), place.another(qt)]);
    const key = place.freshKey();
    const [own, third] = [await o.ownMemory(key), await c.memory(key)];
    expect(await own.create(8)).toBe(true);
    expect(await third.attach()).toBe(true);
    const id = await place.lockOf(own);
    expect(await own.lock()).toBe(true);
    const other = await failingCreate(b, key, id);
    expect(await third.lock()).toBe(true);
    expect(await own.unlock()).toBe(true);
    expect(semaphore(id)).toMatchObject({ value: 0, changer: c.pid });
    expect(await own.tryLock()).toBe(false);
    const locked = own.lock();
    await place.waiting(id);
    expect(await third.unlock()).toBe(true);
    expect(await locked).toBe(true);
    expect(await own.unlock()).toBe(true);
    expect(valueOf(id)).toBe(1);
    await expectExclusion(own, third);
    for (const memory of [other, third, own]) await memory.delete();
  });

  for (const unlocks of [true, false]) {
    test(`A: ... and ours ${unlocks ? "unlocks and " : ""}dies: the kernel takes nothing back that Qt's set had made void`, async () => {
      const [o, b, c] = await Promise.all([place.another(ours), place.peer(qt), place.another(qt)]);
      const key = place.freshKey();
      const [own, third] = [await o.ownMemory(key), await c.memory(key)];
      expect(await own.create(8)).toBe(true);
      expect(await third.attach()).toBe(true);
      const id = await place.lockOf(own);
      expect(await own.lock()).toBe(true);
      const other = await failingCreate(b, key, id);
      expect(await third.lock()).toBe(true);
      if (unlocks) expect(await own.unlock()).toBe(true);
      await o.kill();
      expect(semaphore(id)).toMatchObject({ value: 0, changer: c.pid });
      expect(await third.unlock()).toBe(true);
      expect(valueOf(id)).toBe(1);
      await third.delete();
      await other.delete();
      await (await place.peer(ours)).remove(key); // what ours told others of ours by
    });
  }

  test("A: Qt holds the lock, a create() of ours fails: at once, and Qt's lock is untouched", async () => {
    const [o, a, c] = await Promise.all([place.peer(ours), place.peer(qt), place.another(qt)]);
    const key = place.freshKey();
    const [own, held, third] = [await o.ownMemory(key), await a.memory(key), await c.memory(key)];
    expect(await held.create(8)).toBe(true);
    expect(await third.attach()).toBe(true);
    expect(await held.lock()).toBe(true);
    const id = await place.lockOf(held);
    for (let i = 0; i < 2; i++) {
      expect(await own.create(8), "answers while Qt holds the lock").toBe(false);
      expect(await own.error()).toBe(MEMORY.AlreadyExists);
      expect(semaphore(id)).toMatchObject({ value: 0, changer: a.pid });
    }
    const locked = third.lock();
    await place.waiting(id);
    expect(await own.tryLock()).toBe(false);
    await own.delete();
    expect(semaphore(id)).toMatchObject({ value: 0, waiters: 1, changer: a.pid });
    expect(await held.unlock()).toBe(true);
    expect(await locked).toBe(true);
    expect(valueOf(id)).toBe(0);
    expect(await third.unlock()).toBe(true);
    expect(valueOf(id)).toBe(1);
    await held.delete();
    await third.delete();
  });

  test("A: ... and goes away, and takes the lock with it, while ours holds it: our unlock makes nothing anew", async () => {
    const [o, b, c] = await Promise.all([place.peer(ours), place.peer(qt), place.another(qt)]);
    const key = place.freshKey();
    const [own, third] = [await o.ownMemory(key), await c.memory(key)];
    expect(await own.create(8)).toBe(true);
    expect(await third.attach()).toBe(true);
    const id = await place.lockOf(own);
    expect(await own.lock()).toBe(true);
    const other = await failingCreate(b, key, id);
    await other.delete();
    expect(semaphore(id)).toBe(undefined);
    expect(await own.unlock()).toBe(true);
    const { files, semaphores } = place.traces();
    expect([files.filter((name) => name.startsWith("qipc_systemsem")), semaphores]).toEqual([[], []]);
    await expectExclusion(own, third);
    await third.delete();
    await own.delete();
  });

  test("ours made the lock, and goes away while Qt holds it: not before Qt has unlocked, and Qt's make a new one", async () => {
    const [o, a, c] = await Promise.all([place.peer(ours), place.peer(qt), place.another(qt)]);
    const key = place.freshKey();
    const [own, held, third] = [await o.ownMemory(key), await a.memory(key), await c.memory(key)];
    expect(await own.create(8)).toBe(true);
    expect([await held.attach(), await third.attach()]).toEqual([true, true]);
    expect(await held.lock()).toBe(true);
    const id = await place.lockOf(own);
    const gone = own.delete();
    await place.waiting(id);
    expect(valueOf(id)).toBe(0);
    expect(await held.unlock()).toBe(true);
    await gone;
    await expectExclusion(held, third);
    await held.delete();
    await third.delete();
  });

  test("ours made the lock, and its process dies while Qt holds it: Qt has it still", async () => {
    const [o, a] = await Promise.all([place.another(ours), place.peer(qt)]);
    const key = place.freshKey();
    const [own, held] = [await o.ownMemory(key), await a.memory(key)];
    expect(await own.create(8)).toBe(true);
    expect(await held.attach()).toBe(true);
    expect(await held.lock()).toBe(true);
    const id = await place.lockOf(own);
    await o.kill();
    expect(semaphore(id)).toMatchObject({ value: 0, changer: a.pid });
    expect(await held.unlock()).toBe(true);
    expect(valueOf(id)).toBe(1);
    await held.delete();
    expect(await (await place.peer(ours)).remove(key), "nobody's lock is left").toBe(true);
  });

  test("A: the lock is free twice by Qt's own doing: ours takes all of it, so that it is one lock, and is free once when all have gone", async () => {
    const { a, b, o, key, held, own, id } = await valueTwo(qt, ours);
    expect(await own.lock()).toBe(true);
    expect(valueOf(id)).toBe(0);
    const locked = held.lock();
    await place.waiting(id);
    expect(await own.unlock()).toBe(true);
    expect(await locked).toBe(true);
    expect(await held.unlock()).toBe(true);
    const other = await b.memory(key);
    expect(await other.attach()).toBe(true);
    // The one who added 1 too many owes it to the kernel. Had ours lowered the value, nobody could ever lock again.
    await a.kill();
    expect(valueOf(id)).toBe(1);
    await expectExclusion(own, other);
    await o.kill();
    expect(valueOf(id)).toBe(1);
    await other.delete();
    expect(await (await place.peer(ours)).remove(key), "nobody's lock is left").toBe(true);
  });

  test("A: ... or dies before the other", async () => {
    const { a, b, o, key, own, id } = await valueTwo(qt, ours);
    expect(await own.lock()).toBe(true);
    const other = await b.memory(key);
    const attached = other.attach();
    await place.waiting(id);
    await o.kill();
    expect(await attached).toBe(true);
    await a.kill();
    expect(valueOf(id)).toBe(1);
    await other.delete();
    expect(await (await place.peer(ours)).remove(key), "nobody's lock is left").toBe(true);
  });

  for (const ownFirst of [true, false]) {
    test(`A: Qt unlocks what ours has by now: free once in the end, when ${ownFirst ? "ours" : "Qt"} dies first`, async () => {
      const [a, b, o] = await Promise.all([place.another(qt), place.peer(qt), place.another(ours)]);
      const key = place.freshKey();
      const [held, own] = [await a.memory(key), await o.ownMemory(key)];
      expect(await held.create(8)).toBe(true);
      expect(await own.attach()).toBe(true);
      expect(await held.lock()).toBe(true);
      const id = await place.lockOf(held);
      const other = await failingCreate(b, key, id);
      expect(await own.lock()).toBe(true);
      expect(await held.unlock()).toBe(true);
      expect(semaphore(id), "Qt's bug: it freed our lock").toMatchObject({ value: 1, changer: a.pid });
      expect(await own.unlock()).toBe(true);
      for (const dying of ownFirst ? [o, a] : [a, o]) await dying.kill();
      expect(valueOf(id)).toBe(1);
      const later = await (await place.peer(ours)).memory(key);
      expect(await later.attach()).toBe(true);
      expect(await other.attach()).toBe(true);
      await expectExclusion(later, other);
      await other.delete();
      await later.delete();
    });
  }

  test("B: after a crash, create() of ours makes it, and attach() on the same object is nothing to do", async () => {
    for (const victim of [qt, ours]) {
      const [dying, o, b] = await Promise.all([place.another(victim), place.peer(ours), place.peer(qt)]);
      const key = place.freshKey();
      const theirs = await dying.memory(key);
      expect(await theirs.create(8)).toBe(true);
      await theirs.write(0, "ab");
      const beside = await b.memory(key);
      expect(await beside.create(8)).toBe(false);
      await dying.kill();
      const own = await o.ownMemory(key);
      expect([await own.create(9), await own.error()]).toEqual([true, MEMORY.NoError]);
      expect([await own.attach(), await own.error(), await own.isAttached()]).toEqual([false, MEMORY.NoError, true]);
      // The Qt program that had failed before finds the new one.
      expect(await beside.attach()).toBe(true);
      expect([await beside.size(), await beside.read(0, 9)]).toEqual([9, "00".repeat(9)]);
      await expectExclusion(own, beside);
      await beside.delete();
      expect(await own.detach()).toBe(true);
      expect([await own.attach(), await own.error()]).toEqual([false, MEMORY.NotFound]);
      expect([await own.create(8), await own.error()]).toEqual([true, MEMORY.NoError]);
      await own.delete();
    }
  });

  test("B: after a crash, attach() of ours, then create() on the same object: it is attached, and stays so", async () => {
    const [dying, o] = await Promise.all([place.another(qt), place.peer(ours)]);
    const key = place.freshKey();
    const theirs = await dying.memory(key);
    expect(await theirs.create(8)).toBe(true);
    await theirs.write(0, "ab");
    await dying.kill();
    const own = await o.ownMemory(key);
    expect(await own.attach()).toBe(true);
    const id = await place.lockOf(own);
    expect(await own.lock()).toBe(true);
    expect([await own.create(9), await own.error()]).toEqual([false, MEMORY.AlreadyExists]);
    expect([await own.isAttached(), await own.size(), await own.read(0, 1)]).toEqual([true, 8, "ab"]);
    expect(valueOf(id)).toBe(0);
    expect(await own.unlock()).toBe(true);
    expect(await own.detach()).toBe(true);
    expect([await own.create(9), await own.read(0, 1)]).toEqual([true, "00"]);
    await own.delete();
  });
});
