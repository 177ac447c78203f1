/** One lock, whoever asks for it: Qt's, a semaphore beside the segment that the kernel gives back when its holder dies. */

import { describe, expect, it } from "vitest";
import { semaphore } from "../support/qt_system_v.ts";
import { QTS } from "../support/qt.ts";
import { because } from "../support/skips.ts";
import { OURS, PAIRS, skipOf } from "./peer.ts";
import { testPlace } from "./place.ts";

const place = testPlace();

const TIMES = 3000;

describe.each(PAIRS)("%s makes it, %s joins", (maker, joiner) => {
  const skip = skipOf(maker, joiner);
  const test = (name: string, f: () => Promise<void>): void => it.skipIf(skip)(because(name, skip), f);

  test("each waits while the other holds the lock, and then sees what was written under it", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const key = place.freshKey();
    const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
    expect(await memory.create(1)).toBe(true);
    expect(await other.attach()).toBe(true);
    const id = await place.lockOf(memory);
    for (const [holder, waiter, byte] of [[memory, other, "01"], [other, memory, "02"]] as const) {
      expect(await holder.lock()).toBe(true);
      expect(semaphore(id)?.value).toBe(0);
      const locked = waiter.lock();
      await place.waiting(id);
      await holder.write(0, byte);
      expect(await holder.unlock()).toBe(true);
      expect(await locked).toBe(true);
      expect(await waiter.read(0, 1)).toBe(byte);
      expect(await holder.unlock(), "what one does not hold").toBe(false);
      expect(semaphore(id)?.value).toBe(0);
      expect(await waiter.unlock()).toBe(true);
      expect(semaphore(id)?.value).toBe(1);
    }
    await memory.delete();
    await other.delete();
  });

  test("a detach waits for the lock, and a detach by its holder frees it", async () => {
    const [a, b] = await place.pair(maker, joiner);
    const key = place.freshKey();
    const [memory, other] = await Promise.all([a.memory(key), b.memory(key)]);
    expect(await memory.create(1)).toBe(true);
    expect(await other.attach()).toBe(true);
    const id = await place.lockOf(memory);
    expect(await memory.lock()).toBe(true);
    const detached = other.detach();
    await place.waiting(id);
    expect(place.segment(await memory.nativeKey())?.attachments).toBe(2);
    expect(await memory.detach()).toBe(true);
    expect(await detached).toBe(true);
    await other.delete();
    await memory.delete();
  });
});

describe("a count", () => {
  for (const qt of QTS) {
    const skip = skipOf(qt);
    it.skipIf(skip)(because(`of ${qt}, ${OURS.join(", ")} with ${TIMES} locked increments each is exact`, skip), async () => {
      const peers = await Promise.all([qt, ...OURS].map((name) => place.peer(name)));
      const key = place.freshKey();
      const memories = await Promise.all(peers.map((peer) => peer.memory(key)));
      expect(await memories[0]!.create(4)).toBe(true);
      for (const memory of memories.slice(1)) expect(await memory.attach()).toBe(true);
      const id = await place.lockOf(memories[0]!);
      expect(await Promise.all(memories.map((memory) => memory.count(TIMES)))).toEqual(memories.map(() => TIMES));
      const bytes = Buffer.from(await memories[0]!.read(0, 4), "hex");
      expect(bytes.readUInt32LE()).toBe(TIMES * memories.length);
      expect(semaphore(id)?.value).toBe(1);
      for (const memory of memories) await memory.delete();
    });
  }
});
